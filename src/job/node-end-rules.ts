/**
 * The end of a node: what its group does without it, and whether another takes its place.
 *
 * - E1  A replacement is wanted only while the job goes on and the budget of relaunches allows one (B1).
 * - E2  The others do not wait for a node that is gone: their next round opens in the same breath.
 * - E3  A job that can never have its minimum again ends at once, with the reason.
 */

import { canRelaunch } from "./budget.js";
import { leaveShared } from "./dlrover/peer-leaves.js";
import type { GroupRecord, NodeRecord, Replacement } from "./job-record.js";
import { type Ledger, endJob, isActive, isOver } from "./ledger.js";
import { isLive } from "./node-state.js";
import { openRound, settleRound } from "./round-rules.js";
import type { EndReason } from "./stage.js";

export type NodeEnd = Readonly<{
  state: "failed" | "lost" | "stopped";
  because: string;
  /** What a node in its place has to be told; absent when none is to come. */
  replacement?: Readonly<{ isOutOfMemory: boolean; avoidHost: string | null }>;
  /** Why the job ends if it cannot do without this node. */
  code: EndReason["code"];
}>;

export function endNode(ledger: Ledger, node: NodeRecord, end: NodeEnd): void {
  if (!isLive(node.state)) return;
  const { job, nowMs } = ledger;
  const group = job.groups.get(node.group);
  const wasMember = group?.phase === "sealed" && group.members.has(node.id);
  const { state, because } = end;
  const isUnfit = end.code === "PRECHECK_FAILED";
  const replacement = wantedReplacement(ledger, end);
  ledger.emit({ type: "node-ended", node: node.id, host: node.host, state, because, isUnfit, replacement, atMs: nowMs });
  leaveShared(ledger, node, because);
  if (state !== "stopped" && !replacement) endIfHopeless(ledger, node, end);
  if (!group || !isActive(ledger)) return;
  const kind = state === "stopped" ? "scaling" : "recovery";
  if (wasMember) openRound(ledger, group, kind, `${node.id} ${state === "stopped" ? "leaves" : "is gone"}: ${because}`); // E2
  else settleRound(ledger, group);
}

function wantedReplacement(ledger: Ledger, end: NodeEnd): Replacement | null {
  if (!end.replacement || isOver(ledger) || !canRelaunch(ledger.job.budget)) return null; // E1
  return { because: end.because, ...end.replacement };
}

/** E3. Of lost workers the last one decides: while some are left, hosts may come within the join timeout. */
function endIfHopeless(ledger: Ledger, node: NodeRecord, end: NodeEnd): void {
  const { job } = ledger;
  const min = job.spec?.roles.find((role) => role.role === node.role)?.nodes.min ?? 0;
  let left = 0;
  for (const other of job.nodes.values()) {
    if (other.role === node.role && (isLive(other.state) || other.replacement !== null)) left += 1;
  }
  const isNeverToCome = end.code === "CANNOT_PLACE" || (end.code === "PRECHECK_FAILED" && job.rounds === 0);
  if (left > 0 && (left >= min || !isNeverToCome)) return;
  const code = job.unfit !== null && [...job.groups.values()].every(hasNeverRun) ? "PRECHECK_FAILED" : end.code;
  const why = code === "PRECHECK_FAILED" ? (job.unfit ?? end.because) : end.because;
  const counted = left === 0 ? `no ${node.role} is left` : `${left} of at least ${min} ${node.role} nodes are left`;
  endJob(ledger, { code, message: code === "TOO_FEW_NODES" ? `${counted}: ${node.id}: ${why}` : why });
}

function hasNeverRun(group: GroupRecord): boolean {
  return group.members.size === 0;
}
