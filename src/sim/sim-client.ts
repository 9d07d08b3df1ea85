/**
 * A client beyond a network that is late, loses and doubles: it asks again until it is answered, as the clients of
 * the Master Service do.
 */

import { pack, unpack } from "msgpackr/pack";
import type { ActorRef, ReplyOf, Typed } from "../runtime/actor.js";
import type { SimSystem } from "./sim-system.js";

export type NetworkFaults = Readonly<{
  /** Milliseconds that a message takes, from 0 to this. */
  delayMsMax: number;
  /** How often a message (there or back) is lost, or arrives twice. */
  lossChance: number;
  doubleChance: number;
}>;

/** How long a client waits for an answer beyond the wait that it asked for, before it asks again. */
const patienceMs = 3_000;

export class SimClient {
  readonly #system: SimSystem;
  readonly #faults: () => NetworkFaults;
  readonly #retryMs: number;
  /** A client that died asks no more, and its promises stay open. */
  isAlive = true;

  /** `faults` are asked for at each message, so that they can stop. */
  constructor(system: SimSystem, faults: () => NetworkFaults, retryMs = 50) {
    this.#system = system;
    this.#faults = faults;
    this.#retryMs = retryMs;
  }

  /** Asks until answered. With a `requestId` the runtime answers a request that arrives twice from memory (R6). */
  async ask<Message extends Typed, Type extends Message["type"]>(
    to: ActorRef<Message>,
    message: Message & Readonly<{ type: Type }>,
    { waitMs = 0, requestId }: Readonly<{ waitMs?: number; requestId?: string }> = {},
  ): Promise<ReplyOf<Message, Type>> {
    for (;;) {
      const answer = this.isAlive ? await this.#try(to.id, message, waitMs, requestId) : null;
      if (!this.isAlive) return new Promise(() => undefined);
      if (answer !== null) return unpack(answer) as ReplyOf<Message, Type>;
      await this.#system.clock.sleep(this.#retryMs);
    }
  }

  /** One attempt: the packed answer, or null if none came in time or the runtime refused. */
  #try(to: string, message: Typed, waitMs: number, requestId: string | undefined): Promise<Uint8Array | null> {
    const { clock } = this.#system;
    const options = { deadlineMs: waitMs + patienceMs, ...(requestId === undefined ? {} : { requestId }) };
    return new Promise((resolve) => {
      clock.setTimer(waitMs + patienceMs, () => resolve(null));
      this.#carry(() => {
        this.#system.ask(to, message, options).then(
          (reply) => this.#carry(() => resolve(pack(reply))),
          () => this.#carry(() => resolve(null)),
        );
      });
    });
  }

  #carry(arrive: () => void): void {
    const { random } = this.#system;
    const { delayMsMax, lossChance, doubleChance } = this.#faults();
    const copies = random.chance(lossChance) ? 0 : random.chance(doubleChance) ? 2 : 1;
    this.#system.carry(Array.from({ length: copies }, () => random.between(0, delayMsMax)), arrive);
  }
}
