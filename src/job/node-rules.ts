/**
 * Nodes: planned, launched, registered, found fit, away, lost.
 *
 * - A1  One life of an agent is listened to at a time; an earlier one is refused and ends itself.
 * - A2  An agent that dies is started again in place, and ranks that it finds alive are adopted: nothing restarts.
 * - A3  An agent that comes back to no ranks at all has lost its node's processes: to go on with the node is a relaunch. Where the budget has
 *       none left and the others make a world, they go on without it. What was lost while the master was away (the power, perhaps) is not charged.
 * - A4  Silence beyond the heartbeat timeout, or a host that is gone, is the end of a node.
 */

import { canRelaunch, canRestart } from "./budget.js";
import type { HostFacts } from "./host-facts.js";
import { agentEndsMax, type GroupRecord, isFinished, type NodeRecord, nodesMax } from "./job-record.js";
import { type Ledger, endJob, isActive, isOver } from "./ledger.js";
import { notePeerEnded } from "./dlrover/agent-rules.js";
import { endNode } from "./node-end-rules.js";
import { isFit, isLive } from "./node-state.js";
import type { RankReport } from "./rank-report.js";
import { loseRanks, reportRanks } from "./rank-rules.js";
import { canGoOnWithout, considerScaling, openRound, settleRound } from "./round-rules.js";
import type { NodeLaunch } from "./scale-plan.js";

/** Agents of a node that end this often within this long are a node that does not work. */
const agentEndsWithinMs = 10_000;

/** What the Auto Scaler wants the job to become. What is known already changes nothing. */
export function resizeJob(ledger: Ledger, create: readonly NodeLaunch[], remove: readonly string[], because: string): void {
  const { job, nowMs } = ledger;
  if (isOver(ledger)) return;
  for (const { node, role, nodeRank, resources } of create) {
    if (job.nodes.has(node) || job.nodes.size - job.ended.length >= nodesMax) continue; // J3
    ledger.emit({ type: "node-planned", node, role, nodeRank, resources, because, atMs: nowMs });
  }
  for (const id of remove) {
    const node = job.nodes.get(id);
    if (node) endNode(ledger, node, { state: "stopped", because, code: "TOO_FEW_NODES" });
  }
}

export function noteLaunched(ledger: Ledger, node: NodeRecord, launch: Readonly<{ host: string; address: string; pid: number }>): void {
  ledger.emit({ type: "node-launched", node: node.id, ...launch });
}

export function noteUnplaceable(ledger: Ledger, node: NodeRecord, because: string, isForEver: boolean): void {
  if (!isLive(node.state) || isOver(ledger)) return;
  if (isForEver) return endNode(ledger, node, { state: "failed", because, code: "CANNOT_PLACE" });
  if (!node.isUnplaceable) ledger.emit({ type: "node-unplaceable", node: node.id, because });
  const group = ledger.job.groups.get(node.group);
  if (group) settleRound(ledger, group);
}

export type Registration = Readonly<{
  agentId: string;
  agentPid: number;
  facts: HostFacts;
  ranks: readonly RankReport[];
  /** Nothing was heard of the node since the Job Manager came up. */
  isFirstHeard: boolean;
}>;

/** False when this life of the agent was replaced, or its node has ended (A1). */
export function registerAgent(ledger: Ledger, node: NodeRecord, agent: Registration): boolean {
  if (!isLive(node.state) || node.formerAgentIds.includes(agent.agentId)) return false;
  const { agentId, agentPid, facts, isFirstHeard } = agent;
  const leftAlone = node.ranksLeftAlone;
  const isSameLife = node.agentId === agentId;
  const host = node.host ?? facts.host;
  ledger.emit({ type: "agent-registered", node: node.id, host, agentId, agentPid, facts, atMs: ledger.nowMs });
  const group = ledger.job.groups.get(node.group);
  if (!group || !isFit(node.state) || !isActive(ledger)) return true;
  if (group.phase === "sealed" && group.members.has(node.id)) adopt(ledger, group, node, agent);
  else if (group.phase === "open" && leftAlone > 0 && agent.ranks.length === 0 && !isSameLife) takeUpEmpty(ledger, group, node, isFirstHeard);
  else considerScaling(ledger, group);
  return true;
}

/** A2: ranks that are reported live on; those that are not are lost. */
function adopt(ledger: Ledger, group: GroupRecord, node: NodeRecord, { ranks: reports, isFirstHeard }: Registration): void {
  const { round } = group;
  const present = new Set(reports.filter((report) => report.round === round).map((report) => report.localRank));
  if (present.size === 0 && node.ranks.every((rank) => rank.state === "assigned")) {
    openRound(ledger, group, "recovery", `the agent of ${node.id} was replaced before its ranks began`);
  } else if (present.size === 0 && node.state === "running") {
    takeUpEmpty(ledger, group, node, isFirstHeard);
  } else if (present.size > 0) {
    reportRanks(ledger, node, reports);
    if (group.round !== round || group.phase !== "sealed") return;
    const gone = node.ranks.filter((rank) => !present.has(rank.localRank) && (rank.state === "running" || rank.state === "starting"));
    loseRanks(ledger, node, gone, "the rank was gone when its agent came back");
  }
}

/** A3. */
function takeUpEmpty(ledger: Ledger, group: GroupRecord, node: NodeRecord, wasAway: boolean): void {
  const { job } = ledger;
  const because = `the agent and the ranks of ${node.id} died together${wasAway ? " while the master was away" : ""}`;
  const isCharged = !wasAway && canRelaunch(job.budget);
  if (!wasAway && !isCharged && canGoOnWithout(job, group, node)) {
    return endNode(ledger, node, { state: "lost", because: `${because}; no relaunch is left`, code: "TOO_FEW_NODES" });
  }
  ledger.emit({ type: "node-emptied", node: node.id, host: node.host, because, isCharged });
  if (group.phase !== "sealed") return;
  if (isCharged || wasAway) openRound(ledger, group, "recovery", because);
  else loseRanks(ledger, node, node.ranks.filter((rank) => rank.state !== "succeeded"), because);
}

export function judgeFacts(ledger: Ledger, node: NodeRecord, isFitForIt: boolean, because: string): void {
  if (node.state !== "checking" || isOver(ledger)) return;
  const { job, nowMs } = ledger;
  if (!isFitForIt) {
    const hasRun = job.rounds > 0;
    if (!hasRun && node.facts?.entrypointProblem) return endJob(ledger, { code: "PRECHECK_FAILED", message: because });
    // What takes its place on this very host, for there is no other, would be found unfit for the same reason again.
    const isAgain = [...job.nodes.values()].some((other) => other.host === node.host && !isLive(other.state) && other.because === because);
    const replacement = isAgain ? {} : { replacement: { isOutOfMemory: false, avoidHost: node.host } };
    return endNode(ledger, node, { state: "failed", because, ...replacement, code: "PRECHECK_FAILED" });
  }
  ledger.emit({ type: "node-found-fit", node: node.id, host: node.host, because, atMs: nowMs });
  const group = job.groups.get(node.group);
  if (!group) return;
  if (group.phase === "idle") openRound(ledger, group, group.round === 0 ? "first" : "resume", `${node.id} is ready`);
  else considerScaling(ledger, group);
}

/** The agent process of a node has ended, as its launcher saw it. */
export function noteAgentEnded(ledger: Ledger, node: NodeRecord, because: string, isHostGone: boolean): void {
  const { job, nowMs } = ledger;
  const at = { node: node.id, host: node.host };
  if (isOver(ledger) || !isLive(node.state)) {
    if (node.hasAgent) ledger.emit({ type: "agent-ended", ...at, because, isRestarted: false, plan: "", atMs: nowMs });
    return;
  }
  const replacement = { isOutOfMemory: false, avoidHost: node.host };
  if (isHostGone) return endNode(ledger, node, { state: "lost", because, replacement, code: "TOO_FEW_NODES" }); // A4
  if (job.spec?.agents.kind === "dlrover") return notePeerEnded(ledger, node, because);
  const recent = node.agentEndedAtMs.filter((atMs) => atMs > nowMs - agentEndsWithinMs).length;
  if (recent >= agentEndsMax) {
    const often = `its agents ended ${recent} times within ${agentEndsWithinMs / 1_000} s: ${because}`;
    return endNode(ledger, node, { state: "failed", because: often, replacement, code: "TOO_FEW_NODES" });
  }
  ledger.emit({ type: "agent-ended", ...at, because, isRestarted: true, plan: `restart-${job.plans + 1}`, atMs: nowMs }); // A2
  const group = job.groups.get(node.group);
  if (group?.verdict) openRound(ledger, group, "recovery", `${node.id} lost its agent when its world failed`);
  else if (group) settleRound(ledger, group);
}

/** A4. `heardAtMs` knows when a node was heard of last; null for never in this life of the Job Manager. */
export function loseSilentNodes(ledger: Ledger, heardAtMs: (node: string) => number | null): void {
  const { job, nowMs, upSinceMs } = ledger;
  const timeoutMs = job.spec?.heartbeat.timeoutMs ?? 0;
  if (isOver(ledger)) return;
  for (const node of [...job.nodes.values()]) {
    if (!isLive(node.state) || node.agentId === null || isFinished(job, node)) continue;
    const silentMs = nowMs - Math.max(heardAtMs(node.id) ?? 0, upSinceMs);
    if (silentMs <= timeoutMs) continue;
    const because = `not heard of for ${Math.round(silentMs / 1_000)} s`;
    endNode(ledger, node, { state: "lost", because, replacement: { isOutOfMemory: false, avoidHost: node.host }, code: "TOO_FEW_NODES" });
  }
}

/** The Diagnosis Master calls for a restart of the trainers, or a person does. */
export function restartRanks(ledger: Ledger, group: GroupRecord, because: string, isCharged: boolean): void {
  if (!isActive(ledger) || group.phase !== "sealed") return;
  if (!isCharged || canRestart(ledger.job.budget)) return openRound(ledger, group, "recovery", because, isCharged);
  const { maxRestarts } = ledger.job.budget;
  endJob(ledger, { code: "RESTARTS_SPENT", message: `${because}; all ${maxRestarts} restarts are spent` });
}
