/** A node of DLRover's is gone, or another agent has come in its place: what others wait for of the one that was there is given up. */

import type { NodeRecord } from "../job-record.js";
import type { Ledger } from "../ledger.js";
import type { DlroverLedger } from "./dlrover-ledger.js";
import { leaveCheck } from "./network-check.js";

export function sharedOf({ job, nowMs, emit }: Ledger): DlroverLedger {
  return { record: job.dlrover, nowMs, emit };
}

export function leaveShared(ledger: Ledger, node: Pick<NodeRecord, "id">, because: string): void {
  if (ledger.job.spec?.agents.kind !== "dlrover") return;
  const shared = sharedOf(ledger);
  leaveCheck(shared, node.id, because);
  shared.emit({ type: "peer-left", peer: node.id, because });
}
