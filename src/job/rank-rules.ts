/**
 * What agents report of ranks, and what each exit leads to.
 *
 * - K1  A world that fails is charged once (B2): the first failure that is heard decides, later ones of the same round only improve the cause.
 * - K2  An end is not announced with a consequence for its cause: if the failure looks like one, others have `verdictDelayMs` to be heard.
 * - K3  Ranks that succeeded are taken back with the rest of their world.
 */

import { canRelaunch } from "./budget.js";
import { classifyExit, exitConsequences } from "./exit-reason.js";
import { causeOfFailures, type FailureVerdict, judgeFailure } from "./failure-verdict.js";
import type { RankStart } from "./job-event.js";
import { errorTextMax, failuresMax, type GroupRecord, type NodeRecord, type RankRecord, trainers } from "./job-record.js";
import { type Ledger, endJob, isActive, isOver } from "./ledger.js";
import { endNode } from "./node-end-rules.js";
import type { RankReport } from "./rank-report.js";
import { openRound } from "./round-rules.js";
import type { EndReason, RankFailure } from "./stage.js";

export const verdictDelayMs = 1_000;

export function reportRanks(ledger: Ledger, node: NodeRecord, reports: readonly RankReport[]): void {
  const group = ledger.job.groups.get(node.group);
  if (!group) return;
  const isCurrent = group.phase === "sealed" && group.members.has(node.id);
  const current = isCurrent ? reports.filter((report) => report.round === group.round) : [];
  noteStarted(ledger, group, node, current);
  const ended = current.filter((report) => report.state === "exited").sort((a, b) => (a.exitedAtMs ?? 0) - (b.exitedAtMs ?? 0));
  const failures = ended.flatMap((report) => noteExit(ledger, group, node, report) ?? []);
  if (failures.length > 0) decideAfterFailure(ledger, group);
  else if (isCurrent && group.unfinished === 0) noteSuccess(ledger, group);
  for (const report of reports) if (report.round < group.round) noteLateFailure(ledger, group, node, report);
}

/** Ranks that were believed to live and are no more, without anyone who could say how they ended. */
export function loseRanks(ledger: Ledger, node: NodeRecord, lost: readonly RankRecord[], because: string): void {
  const group = ledger.job.groups.get(node.group);
  if (!group || lost.length === 0) return;
  for (const rank of lost) {
    emitFailure(ledger, group, node, failureOf(ledger, node, rank, { reason: "killed", signal: "SIGKILL", message: because }));
  }
  decideAfterFailure(ledger, group);
}

function noteStarted(ledger: Ledger, group: GroupRecord, node: NodeRecord, reports: readonly RankReport[]): void {
  const ranks = reports.flatMap((report): RankStart[] => {
    const rank = node.ranks[report.localRank];
    if (!rank || isEnded(rank)) return [];
    const state = report.state === "exited" ? "running" : report.state;
    const isNew = rank.pid !== report.pid || (rank.state !== state && report.state !== "exited");
    return isNew ? [{ rank: rank.rank, localRank: rank.localRank, pid: report.pid, state }] : [];
  });
  if (ranks.length === 0) return;
  ledger.emit({ type: "ranks-started", node: node.id, host: node.host, group: group.id, round: group.round, ranks });
}

function isEnded(rank: RankRecord): boolean {
  return rank.state === "succeeded" || rank.state === "failed" || rank.state === "stopped";
}

/** The failure, if it is one. */
function noteExit(ledger: Ledger, group: GroupRecord, node: NodeRecord, report: RankReport): RankFailure | null {
  const rank = node.ranks[report.localRank];
  if (!rank || isEnded(rank)) return null;
  const { exitCode, signal } = report;
  const at = { node: node.id, host: node.host, group: group.id, round: group.round, rank: rank.rank, localRank: rank.localRank };
  const reason = classifyExit(report, !isActive(ledger));
  if (reason === "success") ledger.emit({ type: "rank-succeeded", ...at });
  if (reason === "stopped") ledger.emit({ type: "rank-stopped", ...at, exitCode, signal });
  if (exitConsequences[reason] === "nothing") return null;
  const failure = failureOf(ledger, node, rank, { reason, exitCode, signal, message: clip(group, report), atMs: report.exitedAtMs });
  emitFailure(ledger, group, node, failure);
  return failure;
}

type Told = Readonly<{ reason: RankFailure["reason"]; message: string; exitCode?: number | null; signal?: string | null; atMs?: number | null }>;

function failureOf(ledger: Ledger, node: NodeRecord, rank: RankRecord, told: Told): RankFailure {
  return {
    rank: rank.rank,
    localRank: rank.localRank,
    node: node.id,
    host: node.host ?? "",
    reason: told.reason,
    exitCode: told.exitCode ?? null,
    signal: told.signal ?? null,
    message: told.message,
    atMs: told.atMs ?? ledger.nowMs,
  };
}

/** The text in full for the failures that are kept, a line's worth for the others (J3). */
function clip(group: GroupRecord, report: RankReport): string {
  const isKept = group.failedRound !== report.round || group.failures.length < failuresMax;
  return report.errorText.slice(isKept ? -errorTextMax : -200);
}

function emitFailure(ledger: Ledger, group: GroupRecord, node: NodeRecord, failure: RankFailure): void {
  ledger.emit({
    type: "rank-failed",
    node: node.id,
    host: node.host,
    group: group.id,
    round: group.round,
    failure,
    isLate: false,
    furthest: ledger.job.goodput.furthest,
    livedMs: ledger.nowMs - group.sealedAtMs,
    because: failure.reason,
  });
}

/** A failure of a round that is over already: its world was taken down for a consequence of this one, perhaps (K1). */
function noteLateFailure(ledger: Ledger, group: GroupRecord, node: NodeRecord, report: RankReport): void {
  const { round, localRank, exitCode, signal, errorText, exitedAtMs } = report;
  if (report.state !== "exited" || round !== group.failedRound || group.failures.length >= failuresMax || isOver(ledger)) return;
  const member = group.members.get(node.id);
  const isKnown = group.failures.some((known) => known.node === node.id && known.localRank === localRank);
  if (!member || isKnown || group.phase !== "open" || !errorText.includes("Traceback (most recent call last)")) return;
  const reason = classifyExit(report, false);
  if (reason !== "user-error") return;
  const rank: RankRecord = { rank: member.firstRank + localRank, localRank, pid: null, state: "failed", exitCode, signal };
  const told = { reason, exitCode, signal, message: clip(group, report), atMs: exitedAtMs };
  const failure = failureOf(ledger, node, rank, told);
  const at = { node: node.id, host: node.host, group: group.id, round };
  ledger.emit({ type: "rank-failed", ...at, failure, isLate: true, ...group.failedAt, because: "user-error" });
  const paid = { ...ledger.job.budget, maxRestarts: Infinity };
  const verdict = judge(ledger, group, paid);
  if (verdict.kind === "fail") endJob(ledger, { code: verdict.code, message: verdict.because, failure: causeOfFailures(group.failures) });
}

function judge(ledger: Ledger, group: GroupRecord, budget = ledger.job.budget): FailureVerdict {
  return judgeFailure({ failure: causeOfFailures(group.failures), former: group.former, ...group.failedAt, budget });
}

/** What the failures that are known by now lead to. */
export function decideAfterFailure(ledger: Ledger, group: GroupRecord): void {
  if (!isActive(ledger) || group.phase !== "sealed") return;
  if (group.verdict) {
    if (!hasRunning(ledger, group)) concludeVerdict(ledger, group);
    return;
  }
  if (relaunches(ledger, group)) return;
  const verdict = judge(ledger, group);
  if (verdict.kind === "restart") openRound(ledger, group, "recovery", verdict.because, true); // K1
  else if (!verdict.isSure && isAgentAway(ledger, group)) openRound(ledger, group, "recovery", `${verdict.because}; a node is away`);
  else if (verdict.isSure || !hasRunning(ledger, group)) concludeWith(ledger, group, verdict.code, verdict.because);
  else {
    const { code, because } = verdict;
    ledger.emit({ type: "verdict-deferred", group: group.id, code, because, dueAtMs: ledger.nowMs + verdictDelayMs }); // K2
  }
}

/** The node of the cause is given up, where that is what the exit calls for and the budget allows. */
function relaunches(ledger: Ledger, group: GroupRecord): boolean {
  const cause = causeOfFailures(group.failures);
  const consequence = exitConsequences[cause.reason];
  const node = ledger.job.nodes.get(cause.node);
  if (!node || !canRelaunch(ledger.job.budget)) return false;
  const isLarger = consequence === "relaunch-larger" && node.resources.memoryBytes > 0;
  if (!isLarger && consequence !== "relaunch") return false;
  const because = isLarger ? `rank ${cause.rank} ran out of memory` : `rank ${cause.rank} met broken hardware`;
  const replacement = { isOutOfMemory: isLarger, avoidHost: isLarger ? null : node.host };
  endNode(ledger, node, { state: "failed", because, replacement, code: "RANK_FAILED" });
  return true;
}

/** The time of a deferred verdict is up, or nobody is left to be heard (K2). */
export function concludeVerdict(ledger: Ledger, group: GroupRecord): void {
  if (!group.verdict) return;
  const { code, because } = group.verdict;
  concludeWith(ledger, group, code, because);
}

function concludeWith(ledger: Ledger, group: GroupRecord, code: EndReason["code"], because: string): void {
  const verdict = judge(ledger, group);
  const message = verdict.kind === "fail" ? verdict.because : because;
  endJob(ledger, { code, message, failure: causeOfFailures(group.failures) });
}

function hasRunning(ledger: Ledger, group: GroupRecord): boolean {
  for (const id of group.members.keys()) {
    if (ledger.job.nodes.get(id)?.ranks.some((rank) => !isEnded(rank))) return true;
  }
  return false;
}

function isAgentAway(ledger: Ledger, group: GroupRecord): boolean {
  for (const id of group.members.keys()) if (ledger.job.nodes.get(id)?.hasAgent === false) return true;
  return false;
}

/** Every rank of the group's world has ended well. */
export function noteSuccess(ledger: Ledger, group: GroupRecord): void {
  if (!isActive(ledger)) return;
  const because = `all ${group.worldSize} ranks ended with 0`;
  ledger.emit({ type: "world-succeeded", group: group.id, round: group.round, because });
  const { job } = ledger;
  const hasTrainers = job.spec?.roles.some((role) => role.role === "worker" || role.role === "chief") ?? false;
  const needed = [...job.groups.values()].filter((other) => (other.id === trainers) === hasTrainers);
  if (needed.every((other) => other.phase === "succeeded")) endJob(ledger, { code: "ALL_SUCCEEDED", message: because });
}
