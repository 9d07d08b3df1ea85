/**
 * Master Orchestrator: the life of a job, from its creation to its end.
 *
 * Owns the stage (src/job/lifecycle.ts is the table) and the reason of the end; it alone decides that the job ends. It is told of each restart
 * of a component by the supervisor, which does the restarting. Does not own nodes, processes or budgets.
 *
 * - Q1  Every change of stage is an edge of the table and an event with its cause (L1).
 * - Q2  The first reason to end is the reason; later ones change nothing. A kill only makes the end faster.
 * - Q3  What the stage calls for is said again after a restart of this actor, of the master, or of a component (`pursue`); whoever hears it
 *       twice does it once.
 * - Q4  An end is announced only when no process of the job is left on any host.
 * - Q5  A job that is taken up again is another attempt; what is still told of the one before changes nothing.
 */

import type { Finding } from "../src/job/finding.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { causeOfPhase, finalStage, isFinal, nextStage, type StageCause } from "../src/job/lifecycle.js";
import type { EndReason, Stage } from "../src/job/stage.js";
import { type ActorContext, defineActor } from "../src/runtime/actor.js";
import type { JobView, MasterOrchestratorMessage } from "./protocol/master-orchestrator.js";
import { diagnosisMaster, jobManager, masterService, scheduler } from "./protocol/refs.js";

export type MasterOrchestratorOptions = Readonly<{ spec: JobSpec; jobDir: string; tokenPath: string }>;

export type MasterOrchestratorEvent =
  | Readonly<{ type: "job-created"; job: string; atMs: number }>
  | Readonly<{ type: "stage-changed"; from: Stage; to: Stage; because: string; atMs: number }>
  | Readonly<{ type: "end-decided"; reason: EndReason; isKill: boolean; because: string }>
  | Readonly<{ type: "kill-asked"; because: string }>
  | Readonly<{ type: "job-taken-up"; attempt: number; because: string }>
  | Readonly<{ type: "finding-noted"; finding: Finding; because: string }>
  | Readonly<{ type: "child-restarted"; child: string; because: string; restarts: number }>;

type Durable = {
  stage: Stage;
  /** How often the job was taken up after an end. */
  attempt: number;
  reason: EndReason | null;
  isKill: boolean;
  createdAtMs: number | null;
  endedAtMs: number | null;
  restarts: number;
};

export type MasterOrchestratorState = {
  readonly options: MasterOrchestratorOptions;
  readonly job: Durable;
  readonly volatile: { address: Readonly<{ host: string; port: number }> | null };
};

type Context = ActorContext<MasterOrchestratorMessage, MasterOrchestratorEvent>;

/** Between attempts to learn an address or to close hosts. */
const retryMs = 500;
/** How long the Scheduler may take to end what is left, before it is asked again. */
const closeDeadlineMs = 60_000;

export const masterOrchestrator = defineActor<
  MasterOrchestratorState,
  MasterOrchestratorMessage,
  MasterOrchestratorEvent,
  MasterOrchestratorOptions
>({
  name: "master-orchestrator",
  module: import.meta.url,
  init: (options) => stateOf(options, {
    stage: "created",
    attempt: 0,
    reason: null,
    isKill: false,
    createdAtMs: null,
    endedAtMs: null,
    restarts: 0,
  }),
  started(state, ctx) {
    if (state.job.createdAtMs === null) ctx.emit({ type: "job-created", job: state.options.spec.name, atMs: ctx.now() });
    if (isFinal(state.job.stage)) tellStage(state, ctx);
    else askAddress(ctx);
    if (state.job.stage === "stopping") pursue(state, ctx);
  },
  receive,
  apply: ({ job }, event) => apply(job, event),
  snapshot: {
    version: 1,
    take: ({ job }) => job,
    parse: (taken, _version, options) => stateOf(options as MasterOrchestratorOptions, taken as Durable),
  },
});

function stateOf(options: MasterOrchestratorOptions, job: Durable): MasterOrchestratorState {
  return { options, job, volatile: { address: null } };
}

function receive(state: MasterOrchestratorState, message: MasterOrchestratorMessage, ctx: Context): void {
  switch (message.type) {
    case "ask-address":
      return askAddress(ctx);
    case "address-known":
      return noteAddress(state, message.address, ctx);
    case "report-phase":
      return change(state, causeOfPhase(message.phase), message.because, ctx);
    case "report-end":
      return message.attempt === state.job.attempt ? decideEnd(state, message.reason, false, ctx) : undefined; // Q5
    case "nodes-gone":
      return closeHosts(state, ctx);
    case "hosts-closed":
      if (message.isClosed) return finish(state, ctx);
      ctx.log("warn", "the hosts are not closed yet; it is tried again", { why: message.why });
      return ctx.after(retryMs, "stop", { type: "retry-stop" });
    case "retry-stop":
      return closeHosts(state, ctx);
    case "report-finding":
      return noteFinding(state, message.finding, ctx);
    case "child-restarted":
      ctx.emit({ type: "child-restarted", child: message.child, because: message.why, restarts: message.restarts });
      return pursue(state, ctx);
    case "get-job":
      return ctx.reply(viewOf(state));
    case "take-up-job":
      return takeUp(state, ctx);
    case "stop-job":
    case "pause-job":
    case "resume-job":
      return receiveFromPerson(state, message, ctx);
  }
}

const cannotPause = "The ranks are DLRover's agents' to end and to start: such a job can be stopped, not paused.";

type FromPerson = Extract<MasterOrchestratorMessage, { type: "stop-job" | "pause-job" | "resume-job" }>;

function receiveFromPerson(state: MasterOrchestratorState, message: FromPerson, ctx: Context): void {
  const { job } = state;
  switch (message.type) {
    case "stop-job":
      if (message.isKill && job.stage === "stopping" && !job.isKill) hurry(state, message.because, ctx);
      else decideEnd(state, { code: "STOPPED_BY_USER", message: message.because }, message.isKill, ctx);
      return ctx.reply({ ok: true });
    case "pause-job":
      if (state.options.spec.agents.kind === "dlrover") return ctx.reply({ ok: false, code: "UNSUPPORTED_AGENT", message: cannotPause });
      if (nextStage(job.stage, "paused") === null) {
        return ctx.reply({ ok: false, code: "NOT_RUNNING", message: `The job is ${job.stage}: there is nothing to pause.` });
      }
      change(state, "paused", message.because, ctx);
      ctx.tell(jobManager, { type: "pause-nodes", because: message.because });
      return ctx.reply({ ok: true });
    case "resume-job":
      if (job.stage !== "paused") return ctx.reply({ ok: false, code: "NOT_PAUSED", message: `The job is ${job.stage}, not paused.` });
      change(state, "resumed", "a person asked for it", ctx);
      ctx.tell(jobManager, { type: "resume-nodes" });
      return ctx.reply({ ok: true });
  }
}

function apply(job: Durable, event: MasterOrchestratorEvent): void {
  switch (event.type) {
    case "job-created":
      job.createdAtMs = event.atMs;
      return;
    case "stage-changed":
      job.stage = event.to;
      if (isFinal(event.to)) job.endedAtMs = event.atMs;
      return;
    case "end-decided":
      job.reason = event.reason;
      job.isKill = event.isKill;
      return;
    case "kill-asked":
      job.isKill = true;
      return;
    case "job-taken-up":
      Object.assign(job, { attempt: event.attempt, reason: null, isKill: false, endedAtMs: null });
      return;
    case "child-restarted":
      job.restarts += 1;
      return;
    case "finding-noted":
      return;
  }
}

function askAddress(ctx: Context): void {
  ctx.ask(masterService, { type: "get-address" }, (outcome) => {
    return { type: "address-known", address: outcome.ok ? outcome.reply : null };
  });
}

function noteAddress(state: MasterOrchestratorState, address: Readonly<{ host: string; port: number }> | null, ctx: Context): void {
  if (address === null) return ctx.after(retryMs, "address", { type: "ask-address" });
  state.volatile.address = address;
  change(state, "hosts-opened", `the master serves at ${address.host}:${address.port}`, ctx);
  pursue(state, ctx);
}

/** Q5. */
function takeUp(state: MasterOrchestratorState, ctx: Context): void {
  const { stage, attempt } = state.job;
  if (nextStage(stage, "taken-up") === null) {
    return ctx.reply({ ok: false, code: "NOT_ENDED", message: `The job is ${stage}: there is nothing to take up.` });
  }
  const because = `a person takes up the job, which ${stage === "failed" ? "failed" : "was stopped"}`;
  ctx.emit({ type: "job-taken-up", attempt: attempt + 1, because });
  change(state, "taken-up", because, ctx);
  askAddress(ctx);
  ctx.reply({ ok: true });
}

/** Q1. What is not an edge changes nothing. */
function change(state: MasterOrchestratorState, cause: Exclude<StageCause, "all-gone">, because: string, ctx: Context): void {
  const to = nextStage(state.job.stage, cause);
  if (to !== null) moveTo(state, to, because, ctx);
}

function moveTo(state: MasterOrchestratorState, to: Stage, because: string, ctx: Context): void {
  ctx.emit({ type: "stage-changed", from: state.job.stage, to, because, atMs: ctx.now() });
  tellStage(state, ctx);
}

function tellStage({ job: { stage, reason }, options: { spec } }: MasterOrchestratorState, ctx: Context): void {
  ctx.tell(masterService, { type: "stage-changed", stage, reason: isFinal(stage) || stage === "stopping" ? reason : null, isFinal: isFinal(stage) });
  ctx.tell(diagnosisMaster, { type: "watch-job", spec, isRunning: stage === "running" });
}

/** Q3. */
function pursue(state: MasterOrchestratorState, ctx: Context): void {
  const { job, options, volatile } = state;
  tellStage(state, ctx);
  if (isFinal(job.stage)) return;
  if (job.stage === "stopping") return stopNodes(state, ctx);
  if (volatile.address === null) return;
  const { spec, jobDir, tokenPath } = options;
  const masterAddress = `${volatile.address.host}:${volatile.address.port}`;
  ctx.tell(scheduler, { type: "open-hosts", spec, masterAddress, tokenPath, jobDir });
  ctx.tell(jobManager, { type: "start-nodes", spec, attempt: job.attempt });
  ctx.tell(jobManager, job.stage === "paused" ? { type: "pause-nodes", because: "the job is paused" } : { type: "resume-nodes" });
}

/** Q2. */
function decideEnd(state: MasterOrchestratorState, reason: EndReason, isKill: boolean, ctx: Context): void {
  if (nextStage(state.job.stage, "end-decided") === null) return;
  ctx.emit({ type: "end-decided", reason, isKill, because: reason.message });
  change(state, "end-decided", reason.message, ctx);
  stopNodes(state, ctx);
}

function hurry(state: MasterOrchestratorState, because: string, ctx: Context): void {
  ctx.emit({ type: "kill-asked", because });
  stopNodes(state, ctx);
}

function stopNodes(state: MasterOrchestratorState, ctx: Context): void {
  const { reason, isKill } = state.job;
  const graceMs = isKill ? 0 : state.options.spec.stopGraceMs;
  ctx.tell(jobManager, { type: "stop-nodes", because: reason?.message ?? "the job ends", graceMs });
  if (isKill) closeHosts(state, ctx); // At once: no node is waited for.
}

function closeHosts(state: MasterOrchestratorState, ctx: Context): void {
  if (state.job.stage !== "stopping") return;
  const toMessage = (isClosed: boolean, why: string) => ({ type: "hosts-closed", isClosed, why }) as const;
  ctx.ask(
    scheduler,
    { type: "close-hosts", isKill: state.job.isKill },
    (outcome) => (outcome.ok ? toMessage(true, "") : toMessage(false, outcome.message)),
    { deadlineMs: closeDeadlineMs },
  );
}

/** Q4. */
function finish(state: MasterOrchestratorState, ctx: Context): void {
  const { stage, reason } = state.job;
  if (stage === "stopping" && reason) moveTo(state, finalStage(reason), reason.message, ctx);
}

const codeOfFinding = new Map<Finding["kind"], EndReason["code"]>([
  ["precheck-failed", "PRECHECK_FAILED"],
  ["nan-loss", "NAN_LOSS"],
  ["hang", "HANG"],
]);

function noteFinding(state: MasterOrchestratorState, finding: Finding, ctx: Context): void {
  const { summary, action, kind } = finding;
  ctx.emit({ type: "finding-noted", finding, because: summary });
  if (action === "restart-ranks") ctx.tell(jobManager, { type: "restart-ranks", because: summary, isCharged: true });
  if (action === "end-job") decideEnd(state, { code: codeOfFinding.get(kind) ?? "RANK_FAILED", message: summary }, false, ctx);
}

function viewOf({ job, options }: MasterOrchestratorState): JobView {
  const { stage, reason, createdAtMs, endedAtMs, restarts } = job;
  return { job: options.spec.name, stage, reason, createdAtMs: createdAtMs ?? 0, endedAtMs, restarts };
}
