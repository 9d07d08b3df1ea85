/**
 * DLRover's agents as agents of Drover's nodes: what they say becomes events of nodes, rounds and ranks, and the rules of those decide.
 *
 * They differ from Drover's own in what they are told and what they tell: the answer to "how many wait?" makes them restart their ranks and
 * join; they ask for their world again and again; they restart failed ranks by themselves; of ranks they tell failures and the end of all.
 *
 * - L1  A node is known by NODE_TYPE and NODE_ID, its place by NODE_RANK: of two live nodes in one place the newer one is meant, the other has
 *       been replaced.
 * - L2  WAIT_PRE_CHECK is said once in the life of an agent: a node that says it again has another agent, and the ranks of the former are gone.
 * - L3  A node is fit when its agent joins the training rendezvous, not before: while it checks its network nobody's training stops for it.
 * - L4  A join stays good until the node is in a world: agents join once and then ask.
 * - L5  An agent that gave up (FAILED_EXITED) is not replaced, unless it was told to, or blames its host.
 */

import { canRelaunch, canRestart } from "../budget.js";
import { classifyExit } from "../exit-reason.js";
import { causeOfFailures } from "../failure-verdict.js";
import type { HostFacts } from "../host-facts.js";
import { errorTextMax, type GroupRecord, groupOf, type NodeRecord, nodesMax, trainers } from "../job-record.js";
import type { Resources, Role } from "../job-spec.js";
import { type Ledger, endJob, isActive, isOver } from "../ledger.js";
import { endNode } from "../node-end-rules.js";
import { isFit, isLive } from "../node-state.js";
import { considerScaling, joinRound, openRound, settleRound } from "../round-rules.js";
import type { RankFailure } from "../stage.js";
import { noteSuccess } from "../rank-rules.js";
import type { DlroverReports, Sender } from "./dlrover-request.js";
import { leaveShared } from "./peer-leaves.js";

const roles: Readonly<Record<string, Role>> = { worker: "worker", chief: "chief", ps: "ps", evaluator: "evaluator" };
const anywhere = { isOutOfMemory: false, avoidHost: null };
const nothing: Resources = { cpu: 0, memoryBytes: 0, gpu: 0, custom: {} };

/** As Linux numbers them; Python reports death by signal n as exit code -n. */
const signalNames: Readonly<Record<number, string>> = {
  1: "SIGHUP",
  2: "SIGINT",
  3: "SIGQUIT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  15: "SIGTERM",
};

/** What torch says of a rank that left no traceback in its error file. */
const noTraceback = /^To enable traceback see: \S+$/m;

export function peerId({ type, id }: Sender): string {
  return `${type}-${id}`;
}

export function senderOf(node: Pick<NodeRecord, "id">): Sender {
  const at = node.id.lastIndexOf("-");
  return { type: node.id.slice(0, at), id: Number(node.id.slice(at + 1)) };
}

/** The live node of a sender; null where there is none. */
export function peerOf(ledger: Ledger, sender: Sender): NodeRecord | null {
  const node = ledger.job.nodes.get(peerId(sender));
  return node && isLive(node.state) ? node : null;
}

export type Greeting = Readonly<{ rank: number; address: string; isNewLife: boolean }>;

/** A node whose agent speaks: known from now on (L1, L2). Null when it cannot be part of the job. */
export function greetAgent(ledger: Ledger, sender: Sender, greeting: Greeting): NodeRecord | null {
  const { job } = ledger;
  const known = peerOf(ledger, sender);
  if (isOver(ledger)) return known;
  const node = known ?? (job.spec?.agents.isExternal === true ? planPeer(ledger, sender, greeting.rank) : null);
  if (!node) return null;
  if (node.agentId !== null && node.hasAgent && !greeting.isNewLife) return node;
  const host = node.host ?? greeting.address;
  const facts = factsOf(host, greeting.address, ledger.nowMs);
  const agentId = `${node.id}/${job.revision + 1}`;
  const hadRanks = node.ranks.some(({ state }) => state === "running");
  if (node.agentId !== null) leaveShared(ledger, node, "another agent has come");
  ledger.emit({ type: "agent-registered", node: node.id, host, agentId, agentPid: node.agentPid ?? 0, facts, atMs: ledger.nowMs });
  const group = job.groups.get(node.group);
  if (hadRanks && group?.phase === "sealed" && group.members.has(node.id)) {
    openRound(ledger, group, "recovery", `the agent of ${node.id} was replaced`); // L2
  }
  return node;
}

function planPeer(ledger: Ledger, sender: Sender, rank: number): NodeRecord | null {
  const { job, nowMs } = ledger;
  const role = roles[sender.type];
  if (role === undefined || job.nodes.size - job.ended.length >= nodesMax) return null;
  const because = "its agent came";
  const former = [...job.nodes.values()].find((node) => node.role === role && node.nodeRank === rank && isLive(node.state));
  const node = peerId(sender);
  if (former) endNode(ledger, former, { state: "lost", because: `${node} has taken its place`, replacement: anywhere, code: "TOO_FEW_NODES" }); // L1
  ledger.emit({ type: "node-planned", node, role, nodeRank: rank, resources: nothing, because, atMs: nowMs });
  return job.nodes.get(node) ?? null;
}

/** What a stock agent does not say of its host is not known, and nothing is concluded from it. */
function factsOf(host: string, address: string, clockMs: number): HostFacts {
  const unknown = { cpus: 0, memoryBytes: 0, gpus: 0, pythonVersion: null, entrypointProblem: null, diskFreeBytes: 0, sharedMemoryBytes: 0, openFilesMax: 0 };
  return { host, address, clockMs, canBindPorts: true, ...unknown };
}

/** Agents say how large a world may be; the newest word counts. What makes no sense is put right as DLRover's own master does. */
export function setRendezvous(ledger: Ledger, sender: Sender, told: DlroverReports["set-rendezvous"]): void {
  const { job, nowMs } = ledger;
  const { spec } = job;
  if (!spec || told.max < 1 || told.min < 1 || told.min > told.max || told.max > nodesMax) return;
  const unit = Math.min(Math.max(1, told.unit), told.max);
  const joinTimeoutMs = told.joinTimeoutSeconds > 0 ? told.joinTimeoutSeconds * 1_000 : 600_000;
  const wish = { min: told.min, max: told.max, unit, lastCallMs: Math.max(0, told.lastCallSeconds) * 1_000, joinTimeoutMs };
  const worker = spec.roles.find(({ role }) => role === "worker")?.nodes;
  const { lastCallMs } = spec.rendezvous;
  const isKnown = worker?.min === wish.min && worker.max === wish.max && worker.unit === unit && lastCallMs === wish.lastCallMs;
  if (isKnown && spec.rendezvous.joinTimeoutMs === joinTimeoutMs) return;
  ledger.emit({ type: "rendezvous-set", ...wish, because: `${peerId(sender)} says so`, atMs: nowMs });
  const group = job.groups.get(trainers);
  if (group) settleRound(ledger, group);
}

/** L3, L4. The newest round that was sealed before, as the agent counts. */
export function joinTraining(ledger: Ledger, node: NodeRecord, join: Readonly<{ nproc: number; address: string }>): number {
  const { job, nowMs } = ledger;
  const { id, host } = node;
  const group = (): GroupRecord | undefined => job.groups.get(node.group);
  if (!isActive(ledger)) return lastSealed(group());
  const isSeated = group()?.phase === "sealed" && group()?.members.get(id)?.nproc === join.nproc;
  if (isSeated && isFit(node.state) && node.ranks.every(({ state }) => state === "assigned")) return lastSealed(group()) - 1; // Said again.
  const before = lastSealed(group());
  ledger.emit({ type: "world-asked", node: id, host, nproc: join.nproc, address: join.address, atMs: nowMs });
  takePart(ledger, node, join);
  return before;
}

function takePart(ledger: Ledger, node: NodeRecord, join: Readonly<{ nproc: number; address: string }>): void {
  const group = ledger.job.groups.get(node.group);
  if (!group) return;
  const { phase } = group;
  if (phase === "idle") return openRound(ledger, group, group.round === 0 ? "first" : "resume", `${node.id} joins`);
  if (phase === "open") return joinRound(ledger, node, { round: group.round, nproc: join.nproc, storeHost: join.address, storePort: 0 });
  if (!group.members.has(node.id)) {
    const because = "it joined after the round was sealed";
    if (!group.standby.has(node.id)) ledger.emit({ type: "node-stands-by", node: node.id, host: node.host, group: group.id, because, atMs: ledger.nowMs });
    return considerScaling(ledger, group);
  }
  const hasFailed = group.failedRound === group.round && group.failures.length > 0;
  const because = hasFailed ? `${node.id} starts its ranks again: ${causeOfFailures(group.failures).message.split("\n").at(-1) ?? "a rank failed"}` : `${node.id} joins again`;
  openRound(ledger, group, "recovery", because, hasFailed && canRestart(ledger.job.budget));
}

function lastSealed(group: GroupRecord | undefined): number {
  if (!group) return 0;
  return group.phase === "open" ? group.round - 1 : group.round;
}

/** The agent has its world: its ranks begin. */
export function noteWorldTaken(ledger: Ledger, node: NodeRecord, group: GroupRecord): void {
  if (!node.ranks.some(({ state }) => state === "assigned")) return;
  ledger.emit({ type: "world-taken", node: node.id, host: node.host, group: group.id, round: group.round });
}

/** Failed ranks, as JSON of DLRover's agent has them: by rank, { local_rank, exitcode, message, datetime }. */
export function noteRankFailures(ledger: Ledger, node: NodeRecord, errorText: string): boolean {
  const group = ledger.job.groups.get(node.group);
  const failures = group?.phase === "sealed" && group.members.has(node.id) ? failuresIn(ledger, node, errorText) : [];
  if (!group || failures.length === 0) return false;
  const at = { node: node.id, host: node.host, group: group.id, round: group.round, isLate: false };
  for (const failure of failures) {
    const livedMs = ledger.nowMs - group.sealedAtMs;
    ledger.emit({ type: "rank-failed", ...at, failure, furthest: ledger.job.goodput.furthest, livedMs, because: failure.reason });
  }
  return true;
}

function failuresIn(ledger: Ledger, node: NodeRecord, errorText: string): RankFailure[] {
  const told = parsed(errorText);
  if (typeof told !== "object" || told === null) return [];
  return Object.values(told).flatMap((error: unknown): RankFailure[] => {
    if (typeof error !== "object" || error === null) return [];
    const { local_rank: localRank, exitcode, message } = error as Record<string, unknown>;
    const rank = typeof localRank === "number" ? node.ranks[localRank] : undefined;
    if (!rank || rank.state === "failed") return [];
    const code = typeof exitcode === "number" ? exitcode : 1;
    const [exitCode, signal] = code < 0 ? [null, signalNames[-code] ?? `signal ${-code}`] : [code, null];
    const text = textOf(message).replace(noTraceback, `exit code ${code}; what it printed says more`).slice(-errorTextMax);
    const reason = classifyExit({ exitCode, signal, isOutOfMemory: false, errorText: text }, false);
    return [{ rank: rank.rank, localRank: rank.localRank, node: node.id, host: node.host ?? "", reason, exitCode, signal, message: text, atMs: ledger.nowMs }];
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null; // Some reports are plain sentences; they are kept as they are.
  }
}

function textOf(message: unknown): string {
  return typeof message === "string" ? message : JSON.stringify(message ?? "");
}

/** All ranks of the node ended with 0, and its agent ends. */
export function noteAgentSucceeded(ledger: Ledger, node: NodeRecord): void {
  const group = ledger.job.groups.get(node.group);
  if (!group || isOver(ledger)) return;
  const at = { node: node.id, host: node.host, group: group.id, round: group.round };
  if (group.phase === "sealed" && group.members.has(node.id)) {
    for (const { rank, localRank, state } of node.ranks) {
      if (state !== "succeeded") ledger.emit({ type: "rank-succeeded", ...at, rank, localRank });
    }
  }
  noteAgentGone(ledger, node, "its ranks succeeded");
  if (group.phase === "sealed" && group.unfinished <= 0) noteSuccess(ledger, group);
}

function noteAgentGone(ledger: Ledger, node: NodeRecord, because: string): void {
  if (!node.hasAgent) return;
  ledger.emit({ type: "agent-ended", node: node.id, host: node.host, because, isRestarted: false, plan: "", atMs: ledger.nowMs });
}

/** L5. */
export function noteAgentFailed(ledger: Ledger, node: NodeRecord, because: string): void {
  const group = ledger.job.groups.get(node.group);
  const failures = group && group.failedRound === group.round ? group.failures : [];
  const cause = failures.length > 0 ? causeOfFailures(failures) : null;
  const text = cause ? `${because}; rank ${cause.rank}: ${cause.message.trim().split("\n").at(-1) ?? ""}` : because;
  noteAgentGone(ledger, node, because);
  const isReplaced = node.isToBeReplaced && canRelaunch(ledger.job.budget);
  if (!isReplaced && areTooFew(ledger, node)) {
    const code = cause ? "RANK_FAILED" : "TOO_FEW_NODES";
    endJob(ledger, { code, message: `${node.id}: ${text}`, ...(cause ? { failure: cause } : {}) });
  }
  const replacement = isReplaced ? { replacement: { isOutOfMemory: false, avoidHost: node.host } } : {};
  endNode(ledger, node, { state: "failed", because: text, ...replacement, code: "TOO_FEW_NODES" });
}

/** The process of its agent has ended, as its launcher saw it, and the ranks with it: to go on with the node is a relaunch. */
export function notePeerEnded(ledger: Ledger, node: NodeRecord, because: string): void {
  const { job, nowMs } = ledger;
  if (node.state === "succeeded") return noteAgentGone(ledger, node, because);
  if (node.isToBeReplaced || !canRelaunch(job.budget)) return noteAgentFailed(ledger, node, because);
  const at = { node: node.id, host: node.host };
  ledger.emit({ type: "agent-ended", ...at, because, isRestarted: true, plan: `restart-${job.plans + 1}`, atMs: nowMs });
  ledger.emit({ type: "node-emptied", ...at, because, isCharged: true });
  const group = job.groups.get(node.group);
  if (group?.phase === "sealed" && group.members.has(node.id)) openRound(ledger, group, "recovery", `the agent of ${node.id} ended: ${because}`);
  else if (group) settleRound(ledger, group);
}

/** Without this one fewer nodes are left than a world takes, and nobody is to come. */
function areTooFew({ job }: Ledger, gone: NodeRecord): boolean {
  const min = job.spec?.roles.find(({ role }) => role === "worker")?.nodes.min ?? 1;
  const areStarted = job.spec?.agents.isExternal === false;
  let left = 0;
  for (const node of job.nodes.values()) {
    if (node === gone || groupOf(node.role, node.id) !== trainers) continue;
    if (node.replacement || (isLive(node.state) && (node.hasAgent || areStarted || node.state === "succeeded"))) left += 1;
  }
  return left < min;
}

/** When the agent of this node ends, another node is to take its place: it was told to go, or blames its host. */
export function callForReplacement(ledger: Ledger, node: NodeRecord, because: string): void {
  if (!node.isToBeReplaced) ledger.emit({ type: "replacement-called-for", node: node.id, host: node.host, because });
}
