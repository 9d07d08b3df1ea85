/**
 * A world as bytes: runs of nodes with consecutive node ranks and as many ranks each, in the order of group ranks. A run is three numbers of
 * four bytes: the first node rank, how many nodes, the ranks of each.
 *
 * The world of a thousand nodes is asked for by a thousand nodes at the same moment, and is a run or a few: it crosses in some ten bytes.
 */

import type { DlroverAnswer } from "./dlrover-request.js";

/** `world`: [node rank, ranks] in the order of group ranks. */
export type World = Readonly<{ round: number; group: number; world: readonly (readonly [rank: number, nproc: number])[] }>;

const runBytes = 12;
const packed = new WeakMap<World["world"], Uint8Array>();

export function packWorld({ round, group, world }: World): DlroverAnswer<"get-world"> {
  let bytes = packed.get(world);
  if (!bytes) packed.set(world, (bytes = packRuns(world)));
  return { round, group, world: bytes };
}

function packRuns(world: World["world"]): Uint8Array {
  const runs: { first: number; count: number; nproc: number }[] = [];
  for (const [rank, nproc] of world) {
    const run = runs.at(-1);
    if (run?.nproc === nproc && run.first + run.count === rank) run.count += 1;
    else runs.push({ first: rank, count: 1, nproc });
  }
  const bytes = new Uint8Array(runs.length * runBytes);
  const view = new DataView(bytes.buffer);
  for (const [at, { first, count, nproc }] of runs.entries()) [first, count, nproc].forEach((number, field) => view.setUint32(at * runBytes + field * 4, number));
  return bytes;
}

export function unpackWorld({ round, group, world }: DlroverAnswer<"get-world">): World {
  const view = new DataView(world.buffer, world.byteOffset, world.byteLength);
  const pairs: (readonly [number, number])[] = [];
  for (let at = 0; at < world.byteLength; at += runBytes) {
    const [first, count, nproc] = [view.getUint32(at), view.getUint32(at + 4), view.getUint32(at + 8)];
    for (let next = 0; next < count; next += 1) pairs.push([first + next, nproc]);
  }
  return { round, group, world: pairs };
}
