/**
 * Job Manager: nodes, heartbeats, rendezvous rounds, exits and budgets.
 *
 * Owns the record of the job (src/job/job-record.ts) and what is desired of each node. The rules are src/job's `*-rules.ts`; here messages
 * become calls of rules, and the events that those write become messages to others (`announce`). Does not own how many nodes there should be
 * (Job Auto Scaler), where they run (Scheduler), or that the job ends (Master Orchestrator).
 *
 * - M1  What others are told follows from an event, so that what was decided is durable before anybody hears of it, and is told again after a
 *       restart (`resumeWork`). Whoever is told twice ignores it.
 * - M2  A poll is answered in the batch that changed what its node is desired to be; nothing on that way waits for a clock.
 * - M3  Only the newest life of an agent is listened to (A1), and whatever it asks is a heartbeat.
 */

import { desiredOf } from "../src/job/desired-state.js";
import { DesiredPolls } from "../src/job/desired-polls.js";
import { peerId } from "../src/job/dlrover/agent-rules.js";
import type { AnyDlroverAnswer } from "../src/job/dlrover/dlrover-request.js";
import { actOnNode } from "../src/job/dlrover/peer-answers.js";
import { PeerDesk } from "../src/job/dlrover/peer-desk.js";
import type { JobEvent } from "../src/job/job-event.js";
import { applyJobEvent } from "../src/job/job-history.js";
import { isFinished, type JobRecord, type NodeRecord, openRecord, sizeInEvents, trainers } from "../src/job/job-record.js";
import { agentGraceMs, beginJob, meetDeadline, noteIfGone, pauseJob, resumeJob, stopJob } from "../src/job/job-rules.js";
import type { Ledger } from "../src/job/ledger.js";
import { NewestStep } from "../src/job/newest-step.js";
import * as nodeRules from "../src/job/node-rules.js";
import { isLive } from "../src/job/node-state.js";
import { RankGauges } from "../src/job/rank-gauges.js";
import type { RankProgress } from "../src/job/rank-report.js";
import { reportRanks } from "../src/job/rank-rules.js";
import { joinRound, roundDueAtMs } from "../src/job/round-rules.js";
import { scalingNodesOf } from "../src/job/scaling-node.js";
import { samplesPerSecondOf, viewWorld, worldNodesOf } from "../src/job/world-view.js";
import { type ActorContext, defineActor, type ReplyHandle } from "../src/runtime/actor.js";
import type { JobManagerMessage, StaleAgent } from "./protocol/job-manager.js";
import { diagnosisMaster, jobAutoScaler, masterOrchestrator, scheduler, taskManager } from "./protocol/refs.js";
import type { PlacementView } from "./protocol/scheduler.js";

/** A poll is answered after this at the latest, with what was known before if need be. */
const pollMsMax = 20_000;
const placementsRetryMs = 1_000;

type DesiredReply = Readonly<{ ok: true; desired: ReturnType<typeof desiredOf> }> | StaleAgent;
type AgentMessage = Extract<JobManagerMessage, { agentId: string; node: string }>;
type AgentRequest = Exclude<AgentMessage, { type: "register-agent" | "agent-disconnected" | "facts-judged" }>;

export type JobManagerState = {
  readonly job: JobRecord;
  readonly volatile: {
    readonly gauges: RankGauges;
    readonly polls: DesiredPolls<ReplyHandle<DesiredReply>>;
    readonly peers: PeerDesk<ReplyHandle<AnyDlroverAnswer>>;
    /** Nodes whose desired state has changed in this batch, and groups whose deadline may have. */
    readonly touched: Set<string>;
    readonly changedGroups: Set<string>;
    haveNodesChanged: boolean;
    upSinceMs: number;
    readonly step: NewestStep;
  };
};

type Context = ActorContext<JobManagerMessage, JobEvent>;

export const jobManager = defineActor<JobManagerState, JobManagerMessage, JobEvent>({
  name: "job-manager",
  module: import.meta.url,
  init: () => stateOf(openRecord()),
  started(state, ctx) {
    state.volatile.upSinceMs = ctx.now();
    state.volatile.touched.clear();
    if (state.job.spec) resumeWork(state, ctx);
  },
  receive,
  apply: (state, event) => applyJobEvent(state.job, event, state.volatile.touched),
  batchEnd(state, ctx) {
    const { touched, changedGroups, polls, peers } = state.volatile;
    for (const id of touched) if (polls.get(id)) answerPoll(state, id, ctx); // M2
    if (state.job.spec?.agents.kind === "dlrover") peers.answerHeld(ledgerOf(state, ctx), touched, ctx);
    touched.clear();
    for (const id of changedGroups) armRound(state, id, ctx);
    changedGroups.clear();
    if (state.volatile.haveNodesChanged) tellNodes(state, ctx);
  },
  snapshot: { version: 1, size: ({ job }) => sizeInEvents(job), take: (state) => state.job, parse: (taken) => stateOf(taken as JobRecord) },
});

function stateOf(job: JobRecord): JobManagerState {
  const volatile: JobManagerState["volatile"] = {
    gauges: new RankGauges(),
    polls: new DesiredPolls(),
    peers: new PeerDesk(),
    touched: new Set(),
    changedGroups: new Set(),
    haveNodesChanged: false,
    upSinceMs: 0,
    step: new NewestStep(),
  };
  return { job, volatile };
}

function ledgerOf(state: JobManagerState, ctx: Context): Ledger {
  return {
    job: state.job,
    nowMs: ctx.now(),
    upSinceMs: state.volatile.upSinceMs,
    emit(event) {
      ctx.emit(event);
      announce(state, event, ctx); // M1
    },
  };
}

function receive(state: JobManagerState, message: JobManagerMessage, ctx: Context): void {
  const ledger = ledgerOf(state, ctx);
  switch (message.type) {
    case "report-progress":
    case "await-desired":
      return receiveFromAgent(state, ledger, message, ctx);
    case "dlrover":
      return receiveFromPeer(state, ledger, message, ctx);
    case "held-deadline":
      return state.volatile.peers.meetDeadline(ledger, message.held, ctx);
    case "get-world":
      return ctx.reply(viewWorld(state.job, state.volatile.gauges, ctx.now()));
    case "poll-deadline":
      return answerPoll(state, message.node, ctx);
    case "ask-placements":
      return askPlacements(ctx);
    case "placements-known":
      return reconcile(state, ledger, message.placements, ctx);
    default:
      state.volatile.step.write(ledger); // What follows may end a round.
      receiveRare(state, ledger, message, ctx);
  }
}

type Frequent = "report-progress" | "await-desired" | "dlrover" | "held-deadline" | "get-world" | "poll-deadline" | "ask-placements" | "placements-known";
type Rare = Exclude<JobManagerMessage, { type: Frequent }>;

function receiveRare(state: JobManagerState, ledger: Ledger, message: Rare, ctx: Context): void {
  switch (message.type) {
    case "start-nodes":
      if (state.job.spec) sayAgain(state, ctx); // One of them has come back and may have missed what it was told.
      beginJob(ledger, message.spec, message.attempt);
      return armHeartbeats(state, ctx);
    case "stop-nodes":
      tellOrchestrator(state, ctx);
      stopJob(ledger, message.because, message.graceMs);
      return ctx.after(message.graceMs + agentGraceMs, "stop", { type: "check-heartbeats" });
    case "pause-nodes":
      return pauseJob(ledger, message.because);
    case "resume-nodes":
      return resumeJob(ledger);
    case "restart-ranks": {
      const group = state.job.groups.get(trainers);
      return group && nodeRules.restartRanks(ledger, group, message.because, message.isCharged);
    }
    case "resize-job":
      return nodeRules.resizeJob(ledger, message.nodes, message.remove, message.because);
    case "collect-stacks":
      return collectStacks(state, ledger, message.probe, message.because, ctx);
    case "round-deadline": {
      const group = state.job.groups.get(message.group);
      state.volatile.changedGroups.add(message.group);
      return group && meetDeadline(ledger, group);
    }
    case "check-heartbeats":
      nodeRules.loseSilentNodes(ledger, (node) => state.volatile.gauges.heardAtMs(node));
      noteIfGone(ledger);
      return armHeartbeats(state, ctx);
    case "act-on-node":
      return ctx.reply(actOnNode(ledger, message.node, message.action, message.because));
    case "register-agent":
      return registerAgent(state, ledger, message, ctx);
    case "join-round":
    case "report-ranks":
    case "report-probe":
      return receiveFromAgent(state, ledger, message, ctx);
    default:
      receiveOfNode(state, ledger, message, ctx);
  }
}

type OfNode = Extract<JobManagerMessage, { type: "node-launched" | "node-unplaceable" | "agent-exited" | "agent-disconnected" | "facts-judged" }>;

/** What is told of a node by others than its agent. */
function receiveOfNode(state: JobManagerState, ledger: Ledger, message: OfNode, ctx: Context): void {
  const node = state.job.nodes.get(message.node);
  if (!node) {
    ctx.log("warn", `${message.type} of a node that is not known`, { node: message.node });
    return;
  }
  switch (message.type) {
    case "node-launched":
      return nodeRules.noteLaunched(ledger, node, message);
    case "node-unplaceable":
      return nodeRules.noteUnplaceable(ledger, node, message.because, message.isForEver);
    case "agent-exited":
      nodeRules.noteAgentEnded(ledger, node, message.because, message.isHostGone);
      return noteIfGone(ledger);
    case "facts-judged":
      if (node.agentId === message.agentId) nodeRules.judgeFacts(ledger, node, message.isFit, message.because);
      return;
    case "agent-disconnected":
      if (node.agentId !== message.agentId) return; // M3
      state.volatile.polls.take(node.id);
      state.volatile.gauges.suspect(node.id);
  }
}

function registerAgent(state: JobManagerState, ledger: Ledger, message: AgentMessage & { type: "register-agent" }, ctx: Context): void {
  const { job, volatile } = state;
  const node = job.nodes.get(message.node);
  if (!node || !job.spec) return ctx.reply({ ok: false, code: "UNKNOWN_NODE", message: `There is no node ${message.node} in this job.` });
  const former = volatile.polls.get(node.id);
  const isFirstHeard = volatile.gauges.heardAtMs(node.id) === null;
  if (!nodeRules.registerAgent(ledger, node, { ...message, isFirstHeard })) return ctx.reply(stale(node));
  if (former && former.agentId !== message.agentId) answerPoll(state, node.id, ctx);
  volatile.gauges.hear(node.id, ctx.now());
  ctx.reply({ ok: true, spec: job.spec, role: node.role, nodeRank: node.nodeRank, heartbeatIntervalMs: job.spec.heartbeat.intervalMs });
}

function receiveFromAgent(state: JobManagerState, ledger: Ledger, message: AgentRequest, ctx: Context): void {
  const node = state.job.nodes.get(message.node);
  if (!node) return ctx.reply({ ok: false, code: "UNKNOWN_NODE", message: `There is no node ${message.node} in this job.` });
  if (node.agentId !== message.agentId) return ctx.reply(stale(node)); // M3
  state.volatile.gauges.hear(node.id, ctx.now());
  switch (message.type) {
    case "await-desired":
      return awaitDesired(state, node, message, ctx);
    case "report-progress":
      noteProgress(state, ledger, node, message.ranks, ctx);
      break;
    case "join-round":
      joinRound(ledger, node, { round: message.round, nproc: message.nproc, storeHost: message.storeHost, storePort: message.storePort });
      break;
    case "report-ranks":
      reportRanks(ledger, node, message.ranks);
      break;
    case "report-probe":
      noteStacks(state, ledger, node, message.probe, message.text, ctx);
  }
  ctx.reply({ ok: true });
}

function stale(node: NodeRecord): StaleAgent {
  const message = isLive(node.state) ? `Another agent has taken the place of this one on ${node.id}.` : `${node.id} has ended: ${node.because}`;
  return { ok: false, code: "STALE_AGENT", message };
}

function awaitDesired(state: JobManagerState, node: NodeRecord, message: AgentMessage & { type: "await-desired" }, ctx: Context): void {
  const { agentId, revision, waitMs } = message;
  if (node.revision > revision || waitMs <= 0) return ctx.reply({ ok: true, desired: desiredOf(state.job, node) });
  const handle: ReplyHandle<DesiredReply> = ctx.deferReply();
  const former = state.volatile.polls.put(node.id, { handle, agentId, revision });
  if (former) ctx.answer<DesiredReply>(former.handle, { ok: true, desired: desiredOf(state.job, node) });
  ctx.after(Math.min(waitMs, pollMsMax), `poll ${node.id}`, { type: "poll-deadline", node: node.id });
}

function answerPoll(state: JobManagerState, id: string, ctx: Context): void {
  const poll = state.volatile.polls.take(id);
  const node = state.job.nodes.get(id);
  if (!poll) return;
  ctx.cancel(`poll ${id}`);
  const isHeard = node && node.agentId === poll.agentId;
  if (isHeard) ctx.answer<DesiredReply>(poll.handle, { ok: true, desired: desiredOf(state.job, node) });
  else ctx.answer<DesiredReply>(poll.handle, node ? stale(node) : { ok: false, code: "UNKNOWN_NODE", message: `${id} is gone.` });
}

/** A request of DLRover's agents and clients. */
function receiveFromPeer(state: JobManagerState, ledger: Ledger, { sender, request }: JobManagerMessage & { type: "dlrover" }, ctx: Context): void {
  const isStep = request.type === "note-step" || (request.type === "note-training-event" && request.name === "#step");
  if (isStep) notePeerStep(state, ledger, request.step);
  else if (request.type === "node-event" || request.type === "join-rendezvous") state.volatile.step.write(ledger); // What follows may end a round.
  state.volatile.peers.receive(ledger, sender, request, ctx);
  const node = peerId(sender);
  if (state.job.nodes.has(node)) state.volatile.gauges.hear(node, ctx.now());
  if (state.job.nodes.has(node) && request.type === "use-resources") state.volatile.gauges.use(node, request);
}

function notePeerStep({ job, volatile }: JobManagerState, ledger: Ledger, step: number): void {
  const group = job.groups.get(trainers);
  if (group?.phase !== "sealed" || step < 0) return;
  volatile.step.see(group.round, step, ledger.nowMs);
  volatile.step.writeIfDue(ledger);
}

function noteProgress(state: JobManagerState, ledger: Ledger, node: NodeRecord, ranks: readonly RankProgress[], ctx: Context): void {
  const { volatile, job } = state;
  const group = job.groups.get(node.group);
  if (group?.phase !== "sealed") return;
  const current = ranks.filter((progress) => progress.round === group.round && node.ranks[progress.localRank] !== undefined);
  for (const progress of current) {
    volatile.gauges.note(node.id, progress, ctx.now());
    if (group.id === trainers && progress.step !== null) volatile.step.see(progress.round, progress.step, ctx.now());
  }
  if (current.length > 0) ctx.tell(diagnosisMaster, { type: "observe-progress", node: node.id, ranks: current });
  volatile.step.writeIfDue(ledger);
}

function collectStacks(state: JobManagerState, ledger: Ledger, probe: string, because: string, ctx: Context): void {
  const nodes = [...state.job.nodes.values()].filter((node) => node.state === "running" && node.hasAgent).map((node) => node.id);
  if (nodes.length === 0) return ctx.tell(diagnosisMaster, { type: "observe-stacks", probe, node: "", text: "", isLast: true });
  if (!state.job.probes.some((known) => known.id === probe)) ledger.emit({ type: "stacks-asked", probe, because, nodes });
}

function noteStacks(state: JobManagerState, ledger: Ledger, node: NodeRecord, probe: string, text: string, ctx: Context): void {
  if (state.job.probes.find((known) => known.id === probe)?.awaited.has(node.id) !== true) return;
  ledger.emit({ type: "stacks-answered", probe, node: node.id });
  const isLast = !state.job.probes.some((known) => known.id === probe);
  ctx.tell(diagnosisMaster, { type: "observe-stacks", probe, node: node.id, text, isLast });
}

/** What others have to hear of an event (M1). */
function announce(state: JobManagerState, event: JobEvent, ctx: Context): void {
  const { job, volatile } = state;
  volatile.peers.note(event);
  const group = "group" in event ? event.group : "node" in event ? job.nodes.get(event.node)?.group : undefined;
  if (group !== undefined) volatile.changedGroups.add(group);
  switch (event.type) {
    case "job-begun":
      return ctx.tell(jobAutoScaler, { type: "begin-scaling", spec: event.spec, nodes: [] });
    case "job-begun-again":
      ctx.tell(jobAutoScaler, { type: "begin-scaling", spec: event.spec, nodes: [] });
      return returnShards(job, event.because, ctx);
    case "agent-registered": {
      const { node, agentId, facts, atMs } = event;
      if (job.spec?.agents.kind === "drover" && job.nodes.get(node)?.state === "checking") ctx.tell(diagnosisMaster, { type: "judge-facts", node, agentId, facts, atMs });
      return;
    }
    case "agent-ended":
      if (event.isRestarted) restartAgent(event.node, event.plan, `ended: ${event.because}`, ctx);
      if (job.spec?.agents.kind === "dlrover") ctx.tell(taskManager, { type: "return-shards", node: event.node, worker: null, because: event.because });
      return;
    case "agent-called-back":
      volatile.gauges.hear(event.node, ctx.now()); // Nobody has counted its silence so far.
      return restartAgent(event.node, event.plan, `is called back: ${event.because}`, ctx);
    case "node-ended":
      volatile.gauges.forget(event.node);
      volatile.haveNodesChanged = true;
      return announceEnd(event, ctx);
    case "node-joined":
      if (job.groups.get(event.group)?.kind === "first") return; // Nobody has had ranks yet, nor shards.
      return ctx.tell(taskManager, { type: "return-shards", node: event.node, worker: null, because: `round ${event.round} begins` });
    case "rank-succeeded":
      return ctx.tell(taskManager, { type: "return-shards", node: event.node, worker: `${event.node}/${event.rank}`, because: "the rank ended" });
    case "round-opened":
    case "round-sealed":
      if (event.group === trainers) tellPhase(state, ctx);
      volatile.haveNodesChanged ||= event.type === "round-sealed";
      return;
    case "job-over":
      return ctx.tell(masterOrchestrator, { type: "report-end", reason: event.reason, attempt: job.attempt });
    case "nodes-stopping":
      return ctx.tell(jobAutoScaler, { type: "end-scaling" });
    case "nodes-gone":
      return ctx.tell(masterOrchestrator, { type: "nodes-gone" });
    default:
      return;
  }
}

function announceEnd(event: JobEvent & { type: "node-ended" }, ctx: Context): void {
  const { node, because, replacement } = event;
  if (event.state === "lost") killNode(node, because, ctx);
  ctx.tell(taskManager, { type: "return-shards", node, worker: null, because });
  if (replacement) ctx.tell(jobAutoScaler, { type: "replace-node", node, ...replacement });
}

/** What the nodes of an earlier attempt held. */
function returnShards(job: JobRecord, because: string, ctx: Context): void {
  for (const { id, state } of job.nodes.values()) {
    if (!isLive(state)) ctx.tell(taskManager, { type: "return-shards", node: id, worker: null, because });
  }
}

/** Nobody waits for it any more, and it may still write where its heir does: what is left of it gets no grace. */
function killNode(node: string, because: string, ctx: Context): void {
  const plan = { id: `kill-${node}`, reason: `${node} is lost: ${because}`, create: [], remove: [], restart: [], kill: [node] };
  ctx.tell(scheduler, { type: "apply-plan", plan });
}

function restartAgent(node: string, id: string, why: string, ctx: Context): void {
  ctx.tell(scheduler, { type: "apply-plan", plan: { id, reason: `the agent of ${node} ${why}`, create: [], remove: [], restart: [node] } });
}

/** Where the trainers are, for the stage of the job; and who they are, for those who watch them. */
function tellPhase(state: JobManagerState, ctx: Context): void {
  const group = state.job.groups.get(trainers);
  if (!group || group.phase === "idle" || group.phase === "succeeded") return;
  const open = { first: "rendezvous", resume: "rendezvous", recovery: "recovering", scaling: "scaling" } as const;
  const phase = group.phase === "sealed" ? "running" : open[group.kind];
  const because = phase === "running" ? `${group.worldSize} ranks begin in round ${group.round}` : group.because;
  ctx.tell(masterOrchestrator, { type: "report-phase", phase, because });
  if (phase === "running") ctx.tell(diagnosisMaster, { type: "observe-world", round: group.round, nodes: worldNodesOf(group) });
}

function tellNodes({ job, volatile }: JobManagerState, ctx: Context): void {
  volatile.haveNodesChanged = false;
  if (job.mode === "stopping") return;
  ctx.tell(jobAutoScaler, { type: "observe-nodes", nodes: scalingNodesOf(job), samplesPerSecond: samplesPerSecondOf(job, volatile.gauges) });
}

function armRound(state: JobManagerState, id: string, ctx: Context): void {
  const group = state.job.groups.get(id);
  const dueAtMs = group ? roundDueAtMs(ledgerOf(state, ctx), group) : null;
  if (dueAtMs === null) return ctx.cancel(`round ${id}`);
  ctx.after(Math.max(0, dueAtMs - ctx.now()), `round ${id}`, { type: "round-deadline", group: id });
}

function armHeartbeats(state: JobManagerState, ctx: Context): void {
  const { spec, isGone } = state.job;
  if (!spec || isGone) return;
  const everyMs = Math.min(spec.heartbeat.intervalMs, Math.ceil(spec.heartbeat.timeoutMs / 4));
  ctx.after(everyMs, "heartbeats", { type: "check-heartbeats" });
}

/** After a restart: everything that somebody may have missed is said again (M1). */
function resumeWork(state: JobManagerState, ctx: Context): void {
  const { job, volatile } = state;
  armHeartbeats(state, ctx);
  for (const id of job.groups.keys()) volatile.changedGroups.add(id);
  askPlacements(ctx);
  if (job.attempt > 0) returnShards(job, "the master was restarted", ctx);
  sayAgain(state, ctx);
}

/** What the Orchestrator, the Auto Scaler and the Diagnosis Master have to know (M1). */
function sayAgain(state: JobManagerState, ctx: Context): void {
  const { job } = state;
  tellOrchestrator(state, ctx);
  if (job.stop) return ctx.tell(jobAutoScaler, { type: "end-scaling" });
  if (job.spec) ctx.tell(jobAutoScaler, { type: "begin-scaling", spec: job.spec, nodes: scalingNodesOf(job) });
  for (const { id, state: nodeState, agentId, facts, factsAtMs: atMs, replacement } of job.nodes.values()) {
    const isJudged = job.spec?.agents.kind === "drover" && nodeState === "checking";
    if (isJudged && agentId !== null && facts) ctx.tell(diagnosisMaster, { type: "judge-facts", node: id, agentId, facts, atMs });
    if (replacement) ctx.tell(jobAutoScaler, { type: "replace-node", node: id, ...replacement });
  }
}

function tellOrchestrator(state: JobManagerState, ctx: Context): void {
  const { end, isGone, attempt } = state.job;
  if (end) ctx.tell(masterOrchestrator, { type: "report-end", reason: end, attempt });
  else tellPhase(state, ctx);
  if (isGone) ctx.tell(masterOrchestrator, { type: "nodes-gone" });
}

function askPlacements(ctx: Context): void {
  ctx.ask(scheduler, { type: "get-placements" }, (outcome) => {
    return { type: "placements-known", placements: outcome.ok ? outcome.reply.placements : null };
  });
}

/** What the Scheduler saw while the Job Manager was away. */
function reconcile(state: JobManagerState, ledger: Ledger, placements: readonly PlacementView[] | null, ctx: Context): void {
  if (placements === null) return ctx.after(placementsRetryMs, "placements", { type: "ask-placements" });
  for (const { node: id, state: placed, pid, host } of placements) {
    const node = state.job.nodes.get(id);
    if (!node) continue;
    if (placed === "running" && pid !== null && host !== null && !node.hasAgent) nodeRules.noteLaunched(ledger, node, { host, address: host, pid });
    else if (placed === "ended" && node.hasAgent) nodeRules.noteAgentEnded(ledger, node, "it ended while the master was away", false);
    else if (placed === "ended" && isLive(node.state) && !isFinished(state.job, node)) restartAgent(id, ctx.newId("restart"), "is still away", ctx);
  }
  const known = new Set(placements.map(({ node }) => node));
  for (const node of state.job.stop ? state.job.nodes.values() : []) {
    if (node.hasAgent && !known.has(node.id)) nodeRules.noteAgentEnded(ledger, node, "nothing is left of it", false);
  }
  noteIfGone(ledger);
}
