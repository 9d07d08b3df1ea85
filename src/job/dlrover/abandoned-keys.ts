/**
 * Keys of a rendezvous that nobody will set any more: the first node of a world was lost before it said where its ranks meet, or a member before it
 * came to the barrier at the end.
 *
 * torchelastic waits for them, five times for 300 s, and does not ask meanwhile whether nodes wait. So it is given a value to go on with: its
 * ranks begin and find nobody, and at its next look at them it hears that it has to join the next round; or it leaves the barrier that is no more.
 */

import { type JobRecord, trainers } from "../job-record.js";
import { roundKeyOf, type RoundKey } from "./dlrover-record.js";

/** Nobody listens there. */
const standIns: ReadonlyMap<string, Uint8Array> = new Map(
  Object.entries({ MASTER_ADDR: "127.0.0.1", MASTER_PORT: "1", "torchelastic/agent/terminal_state/last_member": "<val_ignored>" }).map(
    ([name, text]) => [name, new Uint8Array(Buffer.from(text))],
  ),
);

/** What stands in for a key that is not there; null where it may still come. */
export function standInFor(job: JobRecord, key: string): Uint8Array | null {
  const of = roundKeyOf(key);
  return of && isOver(job, of) ? (standIns.get(of.name) ?? null) : null;
}

function isOver(job: JobRecord, key: RoundKey): boolean {
  switch (key.rendezvous) {
    case "elastic-training":
      return key.round < (job.groups.get(trainers)?.round ?? 0);
    case "network-check":
      return isCheckOver(job, key);
    default:
      return false;
  }
}

/** Of a group whose first member is done with it, as one that is gone is too (N3), nothing more is to come. */
function isCheckOver({ dlrover: { check } }: JobRecord, { round, group }: RoundKey): boolean {
  const first = check.groups[group]?.[0];
  return round < check.round || (round === check.round && first !== undefined && check.reported.has(first));
}
