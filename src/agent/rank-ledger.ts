/**
 * Which ranks of which round this node was told to run: on disk, so that the next agent knows what must have died.
 *
 * - Y1  Written before the first rank of a round is started; a rank in it that no nursery knows was lost, and is not started twice.
 */

import type { Assignment } from "../job/assignment.js";
import { readJson, writeJson } from "../launch/job-folder.js";
import { parseIdentity, type ProcessIdentity } from "../launch/process-identity.js";

export type LedgerRank = Readonly<{ token: string; rank: number; localRank: number; pid: number }>;

export type RoundLedger = Readonly<{
  assignment: Assignment;
  /** The nursery that was to start them. */
  nursery: ProcessIdentity;
  /** `pid` is 0 until it was started. */
  ranks: readonly LedgerRank[];
}>;

export function writeLedger(path: string, ledger: RoundLedger): void {
  writeJson(path, ledger);
}

/** Null where no round has begun on this node. */
export function readLedger(path: string): RoundLedger | null {
  const value = readJson(path);
  if (typeof value !== "object" || value === null || !("assignment" in value) || !("nursery" in value) || !("ranks" in value)) return null;
  const nursery = parseIdentity(value.nursery);
  if (nursery === null || !Array.isArray(value.ranks)) return null;
  return { assignment: value.assignment as Assignment, nursery, ranks: value.ranks as LedgerRank[] };
}
