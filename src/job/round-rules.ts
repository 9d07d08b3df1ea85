/**
 * Rounds: when one is opened, joined and sealed. The arithmetic is rendezvous.ts's; here it meets the record of the job.
 *
 * - O1  A round number is used once in the life of a job; what refers to another round than the newest is stale and changes nothing.
 * - O2  While everyone is alive nothing on the way from a failure to the next world waits for a clock.
 * - O3  A world that runs is taken down for growth only when it will be larger, and not before those on their way have had a last call.
 * - O4  Two worlds never train at once: a round is not sealed while the last world may still run, that is before a node of it has joined (its
 *       ranks are gone then), a rank of it has ended, or all of its nodes have; at most for the join timeout.
 * - O5  Agents of DLRover's end with their ranks. Where a world has to start again and the others make none, those that had ended well are started
 *       again, if Drover starts them: a node that is lost after the others have ended does not lose the job.
 */

import { type GroupRecord, isFinished, type JobRecord, type NodeRecord, type RoundKind } from "./job-record.js";
import { type Ledger, endJob, isActive } from "./ledger.js";
import type { Role } from "./job-spec.js";
import { isFit, isLive } from "./node-state.js";
import { nodesOf } from "./round-history.js";
import { arrangeWorld, decideSeal, type Joiner, type SealDecision, worldOf } from "./rendezvous.js";
import { limitsOf } from "./role-limits.js";

/** Ranks of a world that has failed get at most this long between SIGTERM and SIGKILL: what they do no longer counts. */
export const recoveryGraceMaxMs = 2_000;

export function openRound(ledger: Ledger, group: GroupRecord, kind: RoundKind, because: string, isCharged = false): void {
  if (!isActive(ledger)) return;
  const { job, nowMs } = ledger;
  const stopGraceMs = job.spec?.stopGraceMs ?? 0;
  const graceMs = kind === "recovery" ? Math.min(stopGraceMs, recoveryGraceMaxMs) : stopGraceMs;
  const round = job.rounds + 1; // O1
  ledger.emit({ type: "round-opened", group: group.id, round, kind, because, isCharged, graceMs, atMs: nowMs });
  for (const node of [...job.nodes.values()]) {
    if (node.group === group.id && node.wish && isFit(node.state)) joinRound(ledger, node, { round, ...node.wish });
  }
  callBack(ledger, group);
  settleRound(ledger, group);
}

/** O5. */
function callBack(ledger: Ledger, group: GroupRecord): void {
  const { job, nowMs } = ledger;
  if (job.spec?.agents.isExternal !== false) return;
  const finished = finishedOf(job, group);
  if (finished.length === 0) return;
  const isLeft = (node: NodeRecord): boolean => (isLive(node.state) && !isFinished(job, node)) || node.replacement !== null;
  const left = [...job.nodes.values()].filter((node) => node.group === group.id && isLeft(node));
  if (worldWith(job, group, left.map(({ id }) => id)) !== null) return;
  for (const { id, host } of finished) {
    const because = `round ${group.round} begins, and the others are too few for it`;
    ledger.emit({ type: "agent-called-back", node: id, host, plan: `restart-${job.plans + 1}`, because, atMs: nowMs });
  }
}

export type JoinRequest = Readonly<{ round: number; nproc: number; storeHost: string; storePort: number }>;

export function joinRound(ledger: Ledger, node: NodeRecord, request: JoinRequest): void {
  const { job, nowMs } = ledger;
  const group = job.groups.get(node.group);
  if (group?.round !== request.round || !isActive(ledger) || !isFit(node.state)) return; // O1
  const { id, host } = node;
  if (group.phase === "open") {
    ledger.emit({ type: "node-joined", node: id, host, group: group.id, ...request, atMs: nowMs });
    settleRound(ledger, group);
    return;
  }
  if (group.phase !== "sealed") return;
  const joined = group.joins.get(id);
  if (!group.members.has(id)) {
    if (group.standby.has(id)) return;
    const because = "it joined after the round was sealed";
    ledger.emit({ type: "node-stands-by", node: id, host, group: group.id, because, atMs: nowMs });
    considerScaling(ledger, group);
  } else if (joined?.storePort !== request.storePort && node.ranks.every((rank) => rank.state === "assigned")) {
    openRound(ledger, group, "recovery", `the store of ${id} was lost before its ranks began`);
  }
}

/** Seals the open round if it is time to (V2), or ends the job when too few came for too long. */
export function settleRound(ledger: Ledger, group: GroupRecord): void {
  if (group.phase !== "open" || !isActive(ledger)) return;
  const decision = sealDecision(ledger, group);
  if (decision.kind === "seal") sealRound(ledger, group, decision.because);
  else if (decision.kind === "too-few") endJob(ledger, { code: "TOO_FEW_NODES", message: decision.because + whoHadEnded(ledger.job, group) });
}

function finishedOf(job: JobRecord, group: GroupRecord): NodeRecord[] {
  return [...nodesOf(job, group)].filter((node) => isFinished(job, node));
}

/** Those that somebody else would have to start again (O5), for a person. */
function whoHadEnded(job: JobRecord, group: GroupRecord): string {
  const ended = finishedOf(job, group).map(({ id }) => id);
  return ended.length === 0 ? "" : `; the agents of ${named(ended)} had ended well, and nobody started them again`;
}

function sealDecision({ job, nowMs, upSinceMs }: Ledger, group: GroupRecord): SealDecision {
  const fitSinceMs = group.fitSinceMs === null ? null : Math.max(group.fitSinceMs, upSinceMs);
  const decision = decideSeal({
    limits: limitsOf(job, group),
    joined: group.joined,
    awaited: group.awaited.size + (mayStrangersCome(job, group) ? 1 : 0),
    fitSinceMs,
    shortSinceMs: Math.max(group.shortSinceMs, upSinceMs),
    nowMs,
    lastCallMs: job.spec?.rendezvous.lastCallMs ?? 0,
    joinTimeoutMs: job.spec?.rendezvous.joinTimeoutMs ?? 0,
  });
  if (decision.kind !== "seal" || isLastWorldOver(job, group)) return decision;
  const untilMs = (fitSinceMs ?? nowMs) + (job.spec?.rendezvous.joinTimeoutMs ?? 0); // O4
  return nowMs < untilMs ? { kind: "wait", untilMs } : decision;
}

/** Nobody knows who else somebody else will start: a first world waits for its last call, unless it is as large as it may be. */
function mayStrangersCome(job: JobRecord, group: GroupRecord): boolean {
  return job.spec?.agents.isExternal === true && group.kind === "first";
}

/** O4. Looks no further than the first node that shows it. */
function isLastWorldOver(job: JobRecord, group: GroupRecord): boolean {
  let isAnyLive = false;
  for (const id of group.members.keys()) {
    const node = job.nodes.get(id);
    if (group.joins.has(id) || node?.ranks.some(({ state }) => state === "failed" || state === "succeeded")) return true;
    isAnyLive ||= node !== undefined && isLive(node.state);
  }
  return !isAnyLive;
}

function sealRound(ledger: Ledger, group: GroupRecord, because: string): void {
  const { job, nowMs } = ledger;
  const members = arrangeWorld(limitsOf(job, group), joinersOf(job, group));
  const [first] = members;
  const store = first && group.joins.get(first.node);
  if (!store) throw new Error(`round ${group.round} of ${group.id} is to be sealed without a member`);
  const worldSize = members.reduce((sum, member) => sum + member.nproc, 0);
  const { id, round } = group;
  const [masterAddr, masterPort] = [store.storeHost, store.storePort];
  ledger.emit({ type: "round-sealed", group: id, round, members, worldSize, masterAddr, masterPort, because, atMs: nowMs });
  considerScaling(ledger, group);
}

/** DLRover's clients count on an order by node rank: there is no former place for them. */
function joinersOf(job: JobRecord, group: GroupRecord): Joiner[] {
  const keepsPlaces = job.spec?.agents.kind !== "dlrover";
  return [...group.joins].flatMap(([id, { nproc }]) => {
    const node = job.nodes.get(id);
    if (!node) return [];
    const formerGroupRank = keepsPlaces ? (group.members.get(id)?.groupRank ?? null) : null;
    return [{ node: id, role: node.role, nodeRank: node.nodeRank, formerGroupRank, nproc }];
  });
}

/** O3: opens a round that those who stand by make larger. */
export function considerScaling(ledger: Ledger, group: GroupRecord): void {
  if (!isActive(ledger) || group.phase !== "sealed" || group.standby.size === 0 || group.verdict) return;
  const dueAtMs = standbyDueAtMs(ledger, group);
  if (group.pending.size > 0 && ledger.nowMs < dueAtMs) return;
  const nodes = worldWith(ledger.job, group, [...group.members.keys(), ...group.standby]);
  if (nodes === null || nodes <= group.members.size) return;
  openRound(ledger, group, "scaling", `${named([...group.standby])} can take part: from ${group.members.size} to ${nodes} nodes`);
}

function named(nodes: readonly string[]): string {
  return nodes.slice(0, 3).join(", ") + (nodes.length > 3 ? ` and ${nodes.length - 3} more` : "");
}

function standbyDueAtMs({ job, upSinceMs }: Ledger, group: GroupRecord): number {
  return Math.max(group.standbySinceMs, upSinceMs) + (job.spec?.rendezvous.lastCallMs ?? 0);
}

/** How many of these nodes make a world of the group; null where they make none. */
function worldWith(job: JobRecord, group: GroupRecord, nodes: Iterable<string>): number | null {
  return worldOf(limitsOf(job, group), countRoles(job, nodes));
}

function countRoles(job: JobRecord, nodes: Iterable<string>): Map<Role, number> {
  const counts = new Map<Role, number>();
  for (const id of nodes) {
    const role = job.nodes.get(id)?.role;
    if (role) counts.set(role, (counts.get(role) ?? 0) + 1);
  }
  return counts;
}

/** Whether the group still makes a world without this node: enough others are fit, with their agents there. */
export function canGoOnWithout(job: JobRecord, group: GroupRecord, gone: NodeRecord): boolean {
  const others = [...job.nodes.values()].filter((node) => node !== gone && node.group === group.id && node.hasAgent && isFit(node.state));
  return worldWith(job, group, others.map((node) => node.id)) !== null;
}

/** When the group has to be looked at again though nobody says anything; null for never. */
export function roundDueAtMs(ledger: Ledger, group: GroupRecord): number | null {
  if (!isActive(ledger)) return null;
  if (group.verdict) return group.verdict.dueAtMs;
  if (group.phase === "open") {
    const decision = sealDecision(ledger, group);
    return decision.kind === "wait" ? decision.untilMs : ledger.nowMs;
  }
  const isHeld = group.phase === "sealed" && group.standby.size > 0 && group.pending.size > 0;
  const dueAtMs = isHeld ? standbyDueAtMs(ledger, group) : null;
  return dueAtMs !== null && dueAtMs > ledger.nowMs ? dueAtMs : null;
}
