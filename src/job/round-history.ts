/** What events make of the record of a rendezvous round. See job-history.ts. */

import type { JobEvent } from "./job-event.js";
import { type GroupRecord, isFinished, type JobRecord, type NodeRecord, trainers } from "./job-record.js";
import { move, refit, touch } from "./node-history.js";
import { isFit, isLive } from "./node-state.js";

type Of<Type extends JobEvent["type"]> = Extract<JobEvent, { type: Type }>;

/** The live nodes of a group. */
export function* nodesOf(job: JobRecord, group: Pick<GroupRecord, "id">): Generator<NodeRecord> {
  const alone = job.nodes.get(group.id);
  if (group.id !== trainers && alone && isLive(alone.state)) yield alone;
  if (group.id === trainers) for (const node of job.nodes.values()) if (node.group === trainers && isLive(node.state)) yield node;
}

export function openRoundRecord(job: JobRecord, group: GroupRecord, event: Of<"round-opened">, touched: Set<string>): void {
  const { round, kind, because, graceMs, atMs } = event;
  Object.assign(group, { round, phase: "open", kind, because, graceMs, shortSinceMs: atMs, fitSinceMs: null, verdict: null });
  job.rounds = Math.max(job.rounds, round);
  if (event.isCharged) job.budget.restarts += 1;
  group.joins.clear();
  group.joined.clear();
  group.awaited.clear();
  group.standby.clear();
  for (const id of job.ended) awaitHeir(job, group, id);
  for (const node of nodesOf(job, group)) {
    if (isFinished(job, node)) continue;
    if (!node.isUnplaceable) group.awaited.add(node.id);
    if (!isFit(node.state)) continue;
    move(node, "round-opened");
    stopRanks(node);
    touch(job, node, touched);
  }
}

/** A node that is to be replaced stands for its heir until that one has a name. */
export function awaitHeir(job: JobRecord, group: GroupRecord, id: string): void {
  const former = job.nodes.get(id);
  if (former?.group === group.id && former.replacement && group.phase === "open") group.awaited.add(id);
}

export function noteJoined(job: JobRecord, group: GroupRecord, node: NodeRecord, event: Of<"node-joined">): void {
  if (!group.joins.has(node.id)) group.joined.set(node.role, (group.joined.get(node.role) ?? 0) + 1);
  group.joins.set(node.id, { nproc: event.nproc, storeHost: event.storeHost, storePort: event.storePort });
  group.awaited.delete(node.id);
  refit(job, group, event.atMs);
}

export function sealRoundRecord(job: JobRecord, group: GroupRecord, event: Of<"round-sealed">, touched: Set<string>): void {
  const { worldSize, masterAddr, masterPort, atMs } = event;
  const restartCount = job.budget.restarts;
  Object.assign(group, { phase: "sealed", worldSize, masterAddr, masterPort, sealedAtMs: atMs, unfinished: worldSize, restartCount });
  group.members = new Map(event.members.map((member) => [member.node, member]));
  group.chiefRanks = event.members.reduce((sum, { node, nproc }) => sum + (job.nodes.get(node)?.role === "chief" ? nproc : 0), 0);
  for (const node of nodesOf(job, group)) {
    if (!isFit(node.state)) continue;
    const isIn = group.members.has(node.id);
    if (isIn) node.wish = null;
    move(node, isIn ? "round-sealed" : "left-out");
    if (!isIn && group.joins.has(node.id)) standBy(group, node.id, atMs);
    touch(job, node, touched);
  }
  group.awaited.clear();
}

export function standBy(group: GroupRecord, node: string, atMs: number): void {
  if (group.phase !== "sealed" || group.members.has(node)) return;
  if (group.standby.size === 0) group.standbySinceMs = atMs;
  group.standby.add(node);
}

/** Its ranks are told to end; what becomes of them no longer matters. */
export function stopRanks(node: NodeRecord): void {
  for (const rank of node.ranks) if (rank.state !== "succeeded" && rank.state !== "failed") rank.state = "stopped";
}
