/**
 * The way between two threads: one MessagePort a pair, everything that is sent within one turn in one frame.
 *
 * Whoever asks one at a time waits for nothing: what is sent while no answer is awaited, the first since something was received, leaves at once.
 * Else it leaves at the end of the turn of the event loop: callbacks of many sockets within one turn would send a message each, and to post one costs
 * as much as ten envelopes in a frame.
 *
 * A lone envelope goes as a plain array of its fields (structured clone is as fast there and needs no copy). Several go as one frame (frame-codec.ts), an
 * exact-size copy transferred. Measured in LIMITS: 1.9 to 2.7 times structured clone. A frame that cannot be encoded is sent envelope by
 * envelope, and the one that is to blame goes back to its host.
 */

import type { MessagePort } from "node:worker_threads";
import { bareOf, type BareEnvelope, type Envelope, envelopeOf } from "./envelope.js";
import { FrameDecoder, FrameEncoder, type Frame } from "./frame-codec.js";
import type { Host, Link } from "./host.js";

export class PortLink implements Link {
  readonly #port: MessagePort;
  readonly #host: Host;
  #outbox: Envelope[] = [];
  /** Since something was received. */
  #hasSent = false;
  /** Asks without an answer. */
  #asksOut = 0;
  #encoder = new FrameEncoder();

  constructor(port: MessagePort, host: Host, peer: number) {
    this.#port = port;
    this.#host = host;
    let decoder = new FrameDecoder();
    port.on("message", (message: BareEnvelope | Frame | "table begins anew") => {
      this.#hasSent = false;
      if (message === "table begins anew") decoder = new FrameDecoder();
      else if ("bytes" in message) for (const envelope of decoder.decode(message) as Envelope[]) this.#receive(envelope);
      else this.#receive(envelopeOf(message));
    });
    port.on("close", () => host.disconnect(peer));
  }

  send(envelope: Envelope): void {
    if (this.#outbox.push(envelope) > 1) return;
    if (this.#hasSent || this.#asksOut > 0) setImmediate(() => this.#flush());
    else queueMicrotask(() => this.#flush());
    this.#hasSent = true;
  }

  #receive(envelope: Envelope): void {
    if (envelope.kind === "reply" || envelope.kind === "fail") this.#asksOut -= 1;
    this.#host.receive(envelope);
  }

  #flush(): void {
    const envelopes = this.#outbox;
    this.#outbox = [];
    for (const { kind } of envelopes) if (kind === "ask") this.#asksOut += 1;
    if (envelopes.length === 1) return this.#sendOneByOne(envelopes);
    let frame: Frame;
    try {
      frame = this.#encoder.encode(envelopes);
    } catch {
      this.#encoder = new FrameEncoder(); // What it had learned of the failed frame is not known over there.
      this.#port.postMessage("table begins anew");
      return this.#sendOneByOne(envelopes); // Finds whose fault it was.
    }
    this.#port.postMessage(frame, [frame.bytes.buffer]);
  }

  #sendOneByOne(envelopes: readonly Envelope[]): void {
    for (const envelope of envelopes) {
      try {
        this.#port.postMessage(bareOf(envelope));
      } catch (thrown) {
        this.#host.unsendable(envelope, thrown);
      }
    }
  }
}
