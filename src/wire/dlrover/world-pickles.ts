/** The pickle of a world, made once for the many that ask for the same world at the same moment. */

import type { DlroverAnswer } from "../../job/dlrover/dlrover-request.js";
import { unpackWorld } from "../../job/dlrover/packed-world.js";
import { writeMessage } from "./message-codec.js";

type Answer = DlroverAnswer<"get-world">;

/** Groups of a network check, and the world, that are remembered; more forget the eldest. */
const rememberedMax = 16;

export class WorldPickles {
  readonly #known: { answer: Answer; pickle: Buffer }[] = [];

  pickle(answer: Answer): Buffer {
    const known = this.#known.find((one) => one.answer.round === answer.round && one.answer.group === answer.group && areSame(one.answer.world, answer.world));
    if (known) return known.pickle;
    const pickle = writeMessage("RendezvousState", unpackWorld(answer));
    this.#known.unshift({ answer: { ...answer, world: Uint8Array.from(answer.world) }, pickle });
    this.#known.length = Math.min(this.#known.length, rememberedMax);
    return pickle;
  }
}

function areSame(one: Uint8Array, other: Uint8Array): boolean {
  return one.length === other.length && Buffer.compare(one, other) === 0;
}
