/** What events make of the record of ranks. See job-history.ts. */

import { causeOfFailures } from "./failure-verdict.js";
import type { JobEvent } from "./job-event.js";
import { failuresMax, type GroupRecord, type JobRecord, type NodeRecord, type RankRecord } from "./job-record.js";
import { move } from "./node-history.js";

type Of<Type extends JobEvent["type"]> = Extract<JobEvent, { type: Type }>;

/** Each member of a sealed round gets its ranks. */
export function setRanks(job: JobRecord, group: GroupRecord): void {
  for (const { node: id, firstRank, nproc } of group.members.values()) {
    const node = job.nodes.get(id);
    if (!node) continue;
    if (node.ranks.length > 0) node.restarts += 1;
    node.ranks = Array.from({ length: nproc }, (_, localRank): RankRecord => {
      return { rank: firstRank + localRank, localRank, pid: null, state: "assigned", exitCode: null, signal: null };
    });
  }
}

export function noteRanksStarted(node: NodeRecord, event: Of<"ranks-started">): void {
  for (const { localRank, pid, state } of event.ranks) {
    const rank = node.ranks[localRank];
    if (rank) Object.assign(rank, { pid, state });
  }
}

export function noteRankEnd(group: GroupRecord | undefined, node: NodeRecord, event: Of<"rank-succeeded" | "rank-stopped">): void {
  const rank = node.ranks[event.localRank];
  if (!rank) return;
  if (event.type === "rank-stopped") {
    Object.assign(rank, { state: "stopped", exitCode: event.exitCode, signal: event.signal });
    return;
  }
  Object.assign(rank, { state: "succeeded", exitCode: 0 });
  if (group) group.unfinished -= 1;
  if (node.ranks.every((other) => other.state === "succeeded")) move(node, "ranks-succeeded");
}

export function noteFailure(group: GroupRecord | undefined, node: NodeRecord, event: Of<"rank-failed">): void {
  const { failure, round } = event;
  const rank = node.ranks[failure.localRank];
  if (rank && !event.isLate) Object.assign(rank, { state: "failed", exitCode: failure.exitCode, signal: failure.signal });
  if (!group) return;
  if (round !== group.failedRound) {
    if (group.failures.length > 0) group.former = { failure: causeOfFailures(group.failures), ...group.failedAt };
    Object.assign(group, { failures: [], failedRound: round, failedAt: { furthest: event.furthest, livedMs: event.livedMs } });
  }
  if (group.failures.length < failuresMax) group.failures.push(failure); // J3
}
