/**
 * A world as bytes: node rank and ranks of each node, four bytes each, in the order of group ranks.
 *
 * The world of a thousand nodes is asked for by a thousand nodes at the same moment. As bytes it is made once, and crosses a thousand times as
 * fast as memory is copied.
 */

import type { DlroverAnswer } from "./dlrover-request.js";

/** `world`: [node rank, ranks] in the order of group ranks. */
export type World = Readonly<{ round: number; group: number; world: readonly (readonly [rank: number, nproc: number])[] }>;

const packed = new WeakMap<World["world"], Uint8Array>();

export function packWorld({ round, group, world }: World): DlroverAnswer<"get-world"> {
  const known = packed.get(world);
  if (known) return { round, group, world: known };
  const bytes = new Uint8Array(world.length * 8);
  const view = new DataView(bytes.buffer);
  world.forEach(([rank, nproc], at) => {
    view.setUint32(at * 8, rank);
    view.setUint32(at * 8 + 4, nproc);
  });
  packed.set(world, bytes);
  return { round, group, world: bytes };
}

export function unpackWorld({ round, group, world }: DlroverAnswer<"get-world">): World {
  const view = new DataView(world.buffer, world.byteOffset, world.byteLength);
  const pairs = Array.from({ length: world.byteLength / 8 }, (_, at) => [view.getUint32(at * 8), view.getUint32(at * 8 + 4)] as const);
  return { round, group, world: pairs };
}
