/** What events make of the record of one node. See job-history.ts. */

import type { JobEvent } from "./job-event.js";
import { endedMax, type GroupRecord, groupOf, type JobRecord, type NodeRecord, openGroup, trainers } from "./job-record.js";
import { type NodeCause, isLive, nextNodeState } from "./node-state.js";
import { worldOf } from "./rendezvous.js";
import { limitsOf } from "./role-limits.js";

type Of<Type extends JobEvent["type"]> = Extract<JobEvent, { type: Type }>;

const formerAgentsMax = 4;

export function touch(job: JobRecord, node: NodeRecord, touched: Set<string>): void {
  job.revision += 1;
  node.revision = job.revision;
  touched.add(node.id);
}

/** Follows the edge of the table, where there is one (N1). */
export function move(node: NodeRecord, cause: NodeCause): void {
  node.state = nextNodeState(node.state, cause) ?? node.state;
}

export function setAgent(job: JobRecord, node: NodeRecord, hasAgent: boolean): void {
  if (node.hasAgent === hasAgent) return;
  node.hasAgent = hasAgent;
  job.agents += hasAgent ? 1 : -1;
}

export function planNode(job: JobRecord, event: Of<"node-planned">): void {
  const former = job.nodes.get(event.node);
  if (former && isLive(former.state)) return;
  if (former) comeAgain(job, former);
  const id = groupOf(event.role, event.node);
  const group = job.groups.get(id) ?? openGroup(id, event.atMs);
  job.groups.set(id, group); // J1
  group.pending.add(event.node);
  if (group.phase === "open") group.awaited.add(event.node);
  for (const endedId of job.ended) replace(group, job.nodes.get(endedId), event);
  job.nodes.set(event.node, {
    id: event.node,
    role: event.role,
    nodeRank: event.nodeRank,
    group: id,
    resources: event.resources,
    state: "planned",
    host: null,
    address: null,
    agentPid: null,
    agentId: null,
    formerAgentIds: [],
    hasAgent: false,
    agentEndedAtMs: [],
    ranksLeftAlone: 0,
    isUnplaceable: false,
    facts: null,
    factsAtMs: 0,
    restarts: 0,
    revision: 0,
    ranks: [],
    wish: null,
    isToBeReplaced: false,
    replacement: null,
    because: event.because,
  });
}

/** A node that had ended comes again under its own id, as those do that somebody else starts. */
function comeAgain(job: JobRecord, former: NodeRecord): void {
  forget(job, former.id);
  job.ended = job.ended.filter((id) => id !== former.id);
  job.groups.get(former.group)?.awaited.delete(former.id);
}

function replace(group: GroupRecord, former: NodeRecord | undefined, event: Of<"node-planned">): void {
  if (former?.role !== event.role || former.nodeRank !== event.nodeRank) return;
  group.awaited.delete(former.id);
  move(former, "replaced");
  former.replacement = null;
}

export function noteAgent(job: JobRecord, node: NodeRecord, event: Of<"agent-registered">): void {
  if (node.agentId !== null && node.agentId !== event.agentId) {
    node.formerAgentIds = [...node.formerAgentIds, node.agentId].slice(-formerAgentsMax);
  }
  node.agentId = event.agentId;
  node.agentPid = event.agentPid;
  node.host ??= event.host;
  node.facts = event.facts;
  node.factsAtMs = event.atMs;
  node.isUnplaceable = false;
  node.ranksLeftAlone = 0;
  node.wish = null;
  setAgent(job, node, true);
  move(node, "registered");
}

export function endNodeRecord(job: JobRecord, node: NodeRecord, event: Of<"node-ended">, touched: Set<string>): void {
  if (!isLive(node.state)) return;
  move(node, event.state === "failed" ? "gave-up" : event.state === "lost" ? "lost" : "removed");
  node.because = event.because;
  node.replacement = event.replacement;
  if (event.replacement) job.budget.relaunches += 1;
  if (event.isUnfit) job.unfit = event.because;
  if (event.state === "lost") setAgent(job, node, false);
  for (const rank of node.ranks) if (rank.state !== "succeeded" && rank.state !== "failed") rank.state = "stopped";
  const group = job.groups.get(node.group);
  if (group) leaveRound(job, group, node, event.atMs, false);
  if (group && group.id !== trainers) job.groups.delete(group.id);
  group?.pending.delete(node.id);
  if (event.replacement && group?.phase === "open") group.awaited.add(node.id); // Its heir has no name yet.
  for (const probe of job.probes) probe.awaited.delete(node.id);
  touch(job, node, touched);
  bury(job, node);
}

function bury(job: JobRecord, node: NodeRecord): void {
  job.ended.push(node.id);
  while (job.ended.length > endedMax) forget(job, job.ended.shift()); // J3
}

/** A node of an attempt that is over: nothing of it is left, and nothing takes its place. */
export function retire(job: JobRecord, node: NodeRecord, touched: Set<string>): void {
  const isNew = !job.ended.includes(node.id);
  move(node, "removed");
  setAgent(job, node, false);
  node.replacement = null;
  touch(job, node, touched);
  if (isNew) bury(job, node);
}

function forget(job: JobRecord, id: string | undefined): void {
  const node = id === undefined ? undefined : job.nodes.get(id);
  if (!node) return;
  setAgent(job, node, false);
  job.nodes.delete(node.id);
}

/** The node has no part in the open round, or may join again (`isAwaited`). */
export function leaveRound(job: JobRecord, group: GroupRecord, node: NodeRecord, atMs: number, isAwaited: boolean): void {
  group.standby.delete(node.id);
  if (group.phase !== "open") return;
  group.awaited.delete(node.id);
  if (isAwaited) group.awaited.add(node.id);
  if (group.joins.delete(node.id)) group.joined.set(node.role, (group.joined.get(node.role) ?? 1) - 1);
  refit(job, group, atMs);
}

/** Since when enough nodes have joined, or since when they have not. */
export function refit(job: JobRecord, group: GroupRecord, atMs: number): void {
  const isEnough = worldOf(limitsOf(job, group), group.joined) !== null;
  if (isEnough) group.fitSinceMs ??= atMs;
  else if (group.fitSinceMs !== null) Object.assign(group, { fitSinceMs: null, shortSinceMs: atMs });
}
