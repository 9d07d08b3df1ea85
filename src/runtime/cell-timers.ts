/**
 * The timers of one actor. A timer that has fired but whose message was not received yet can still be cancelled or replaced: what an actor
 * called off never reaches it.
 */

import type { TellEnvelope } from "./envelope.js";

type Timer = { end: () => void; fired: TellEnvelope | null };

export class CellTimers {
  readonly #timers = new Map<string, Timer>();
  /** Messages of timers that wait in the mailbox: the key, or null once called off. */
  readonly #fired = new Map<object, string | null>();

  /** `setTimer` is the host's clock; `deliver` puts the message into the mailbox. */
  set(key: string, envelope: TellEnvelope, deliver: (envelope: TellEnvelope) => void, setTimer: (call: () => void) => () => void): void {
    this.cancel(key);
    const timer: Timer = { end: () => undefined, fired: null };
    this.#timers.set(key, timer);
    timer.end = setTimer(() => {
      timer.fired = envelope;
      this.#fired.set(envelope, key);
      deliver(envelope);
    });
  }

  cancel(key: string): void {
    const timer = this.#timers.get(key);
    if (!timer) return;
    this.#timers.delete(key);
    if (timer.fired) this.#fired.set(timer.fired, null);
    else timer.end();
  }

  /** Whether a message out of the mailbox is to be received: false for one of a timer that was called off. */
  isWanted(envelope: object): boolean {
    const key = this.#fired.get(envelope);
    if (key === undefined) return true;
    this.#fired.delete(envelope);
    if (key !== null) this.#timers.delete(key);
    return key !== null;
  }

  end(): void {
    for (const { end } of this.#timers.values()) end();
    this.#timers.clear();
    this.#fired.clear();
  }
}
