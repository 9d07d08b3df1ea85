/**
 * Diagnosis Master: what is wrong with the hosts and with the training, with what evidence, and what it calls for. It
 * does nothing about it: findings go to the Master Orchestrator, judgements of hosts to the Job Manager.
 *
 * Owns the findings and the watch over the running round. What counts as wrong is in `src/job` (`precheck`, `hang`,
 * `straggler`, `nan-loss`).
 *
 * - W1  Facts are always answered with `facts-judged`; a finding about a host is made once for the same faults.
 * - W2  A hang is found only while the job runs, only after a step of this round was seen, and once a round; before
 *       it is told, stacks are asked for, and awaited until `stacksDeadlineMs`. A step that comes meanwhile takes the
 *       suspicion back.
 * - W3  What was found is durable before it is told. What it calls for may be lost with this actor between the two,
 *       so a hang or a lost loss that is still there after a restart is told once more.
 * - W4  Of steps only that there was one in this round is durable: after a restart the time without a step begins
 *       anew.
 */

import {
  applyDiagnosisEvent,
  type DiagnosisEvent,
  type DiagnosisRecord,
  type DiagnosisSnapshot,
  evidenceCharsMax,
  newDiagnosisRecord,
  parseDiagnosis,
  settingsOf,
  takeDiagnosis,
} from "../src/job/diagnosis-record.js";
import { cutMiddle, mergeStacks, stacksOf } from "../src/job/diagnosis-stacks.js";
import { newWorld, type ObservedWorld, observeRank } from "../src/job/diagnosis-world.js";
import type { Finding } from "../src/job/finding.js";
import { culpritOf, describeSteps, hangDueAtMs, seconds } from "../src/job/hang.js";
import { judgeLoss } from "../src/job/nan-loss.js";
import { checkHost, isError } from "../src/job/precheck.js";
import { closeWindow, windowMsMin } from "../src/job/straggler.js";
import { type ActorContext, defineActor } from "../src/runtime/actor.js";
import type { DiagnosisMasterMessage } from "./protocol/diagnosis-master.js";
import { jobManager, masterOrchestrator } from "./protocol/refs.js";

/** How long the stacks of all nodes may take; then what came is the evidence. */
const stacksDeadlineMs = 15_000;
/** Ranks that the evidence of a hang lists with their steps. */
const stepLinesMax = 256;

/** Stacks were asked for: the world looks hung. */
type Suspicion = Readonly<{ probe: string; advancedAtMs: number; texts: Map<string, string> }>;

export type DiagnosisMasterState = Readonly<{
  record: DiagnosisRecord;
  volatile: { startedAtMs: number; world: ObservedWorld | null; suspicion: Suspicion | null };
}>;

type Context = ActorContext<DiagnosisMasterMessage, DiagnosisEvent>;
type Sent<Type extends DiagnosisMasterMessage["type"]> = Extract<DiagnosisMasterMessage, { type: Type }>;

export const diagnosisMaster = defineActor<DiagnosisMasterState, DiagnosisMasterMessage, DiagnosisEvent>({
  name: "diagnosis-master",
  module: import.meta.url,
  init: () => stateOf(newDiagnosisRecord()),
  started(state, ctx) {
    state.volatile.startedAtMs = ctx.now();
    watchWorld(state, ctx);
  },
  receive,
  apply: (state, event) => applyDiagnosisEvent(state.record, event),
  snapshot: {
    version: 1,
    everyEvents: 1_000,
    take: (state) => takeDiagnosis(state.record),
    parse: (taken) => stateOf(parseDiagnosis(taken as DiagnosisSnapshot)),
  },
});

function stateOf(record: DiagnosisRecord): DiagnosisMasterState {
  return { record, volatile: { startedAtMs: 0, world: null, suspicion: null } };
}

function receive(state: DiagnosisMasterState, message: DiagnosisMasterMessage, ctx: Context): void {
  switch (message.type) {
    case "watch-job":
      return watchJob(state, message, ctx);
    case "judge-facts":
      return judgeFacts(state, message, ctx);
    case "observe-world":
      if (message.round === state.record.world?.round) return; // Told again after a restart of the Job Manager.
      ctx.emit({ type: "world-observed", round: message.round, nodes: message.nodes });
      return watchWorld(state, ctx);
    case "observe-progress":
      return observeProgress(state, message, ctx);
    case "look-around":
      return lookAround(state, ctx);
    case "observe-stacks":
      return observeStacks(state, message, ctx);
    case "stacks-deadline":
      return message.probe === state.volatile.suspicion?.probe ? tellHang(state, ctx) : undefined;
    case "list-findings":
      return ctx.reply({ findings: state.record.findings });
  }
}

function watchJob(state: DiagnosisMasterState, { spec, isRunning }: Sent<"watch-job">, ctx: Context): void {
  const settings = settingsOf(spec);
  const { record } = state;
  const wasRunning = record.isRunning;
  if (wasRunning === isRunning && JSON.stringify(record.settings) === JSON.stringify(settings)) return;
  ctx.emit({ type: "watch-changed", settings, isRunning });
  if (wasRunning !== isRunning) watchWorld(state, ctx);
}

/** W1. */
function judgeFacts(state: DiagnosisMasterState, { node, agentId, facts, atMs }: Sent<"judge-facts">, ctx: Context): void {
  const checks = checkHost(facts, state.record.settings?.needsPython ?? false, atMs);
  const errors = checks.filter(isError);
  const because = errors.map(({ sentence, hint }) => `${sentence} ${hint}`).join(" ");
  ctx.tell(jobManager, { type: "facts-judged", node, agentId, isFit: errors.length === 0, because });
  const [worst] = checks;
  if (worst === undefined) return;
  const lines = checks.map(({ id, severity, sentence, hint }) => `${severity} ${id}: ${sentence} ${hint}`);
  const more = checks.length > 1 ? ` (and ${checks.length - 1} more)` : "";
  find(state, ctx, `precheck/${facts.host}/${checks.map(({ id }) => id).join()}`, {
    kind: isError(worst) ? "precheck-failed" : "precheck-warning",
    summary: `Host ${facts.host}: ${worst.sentence}${more}`,
    node,
    rank: null,
    evidence: lines.join("\n"),
    action: "none",
  });
}

/** Begins to watch the round that runs, from nothing, or stops watching. */
function watchWorld(state: DiagnosisMasterState, ctx: Context): void {
  const { isRunning, world, settings } = state.record;
  state.volatile.suspicion = null;
  const isWatched = isRunning && world !== null && settings !== null;
  if (!isWatched) {
    state.volatile.world = null;
    return ctx.cancel("look");
  }
  state.volatile.world = newWorld(world.round, world.nodes, ctx.now());
  if (world.hasMoved) state.volatile.world.advancedAtMs = ctx.now(); // W4
  lookLater(state, ctx);
}

function observeProgress(state: DiagnosisMasterState, { ranks }: Sent<"observe-progress">, ctx: Context): void {
  const { settings } = state.record;
  const { world } = state.volatile;
  if (world === null || settings === null) return;
  const wasMoving = world.advancedAtMs !== null;
  for (const progress of ranks) observeRank(world, progress, ctx.now());
  if (!wasMoving && world.advancedAtMs !== null) {
    ctx.emit({ type: "world-moved" });
    lookLater(state, ctx);
  }
  const nan = judgeLoss(
    ranks.filter(({ round }) => round === world.round),
    settings.onNan,
  );
  if (nan === null) return;
  const node = world.ranks.get(nan.rank)?.node ?? null;
  const evidence = describeSteps(world, ctx.now(), stepLinesMax);
  find(state, ctx, `nan/${world.round}/${state.volatile.startedAtMs}`, {
    kind: "nan-loss",
    node,
    evidence,
    rank: nan.rank,
    summary: nan.summary,
    action: nan.action,
  });
}

/** The next moment at which a hang would be due or a window may be closed. */
function lookLater(state: DiagnosisMasterState, ctx: Context): void {
  const { world, suspicion } = state.volatile;
  const { settings } = state.record;
  if (world === null || settings === null || suspicion !== null) return;
  const nowMs = ctx.now();
  const hangAtMs = state.record.keys.has(hangKey(state, world)) ? null : hangDueAtMs(world, settings.hangTimeoutMs);
  const windowAtMs =
    settings.stragglerFactor === 0 ? null : Math.max(world.windowSinceMs + windowMsMin, nowMs + windowMsMin / 10);
  const atMs = Math.min(hangAtMs ?? Number.POSITIVE_INFINITY, windowAtMs ?? Number.POSITIVE_INFINITY);
  if (Number.isFinite(atMs)) ctx.after(Math.max(1, Math.ceil(atMs - nowMs)), "look", { type: "look-around" });
}

function lookAround(state: DiagnosisMasterState, ctx: Context): void {
  const { world, suspicion } = state.volatile;
  const { settings } = state.record;
  if (world === null || settings === null) return;
  for (const { rank, node, evidence } of closeWindow(world, settings.stragglerFactor, ctx.now())) {
    const summary = `Rank ${rank} on ${node} is far slower than its peers.`;
    find(state, ctx, `straggler/${world.round}/${rank}`, {
      kind: "straggler",
      summary,
      node,
      rank,
      evidence,
      action: "none",
    });
  }
  const dueAtMs = hangDueAtMs(world, settings.hangTimeoutMs);
  if (suspicion === null && !state.record.keys.has(hangKey(state, world)) && dueAtMs !== null && dueAtMs <= ctx.now())
    suspect(state, world, ctx);
  else lookLater(state, ctx);
}

/** W2: asks for the stacks of all ranks. */
function suspect(state: DiagnosisMasterState, world: ObservedWorld, ctx: Context): void {
  const probe = ctx.newId("probe");
  const advancedAtMs = world.advancedAtMs ?? 0;
  state.volatile.suspicion = { probe, advancedAtMs, texts: new Map() };
  const because = `no rank of round ${world.round} has made a step for ${seconds(ctx.now() - advancedAtMs)}`;
  ctx.tell(jobManager, { type: "collect-stacks", probe, because });
  ctx.after(stacksDeadlineMs, "stacks", { type: "stacks-deadline", probe });
}

function observeStacks(
  state: DiagnosisMasterState,
  { probe, node, text, isLast }: Sent<"observe-stacks">,
  ctx: Context,
): void {
  const { suspicion } = state.volatile;
  if (suspicion?.probe !== probe) return;
  if (text !== "") suspicion.texts.set(node, cutMiddle(text, evidenceCharsMax));
  if (isLast) tellHang(state, ctx);
}

/** W2: the stacks are there, or as many as came. */
function tellHang(state: DiagnosisMasterState, ctx: Context): void {
  const { world, suspicion } = state.volatile;
  state.volatile.suspicion = null;
  ctx.cancel("stacks");
  if (world === null || suspicion === null) return;
  if (world.advancedAtMs !== suspicion.advancedAtMs) return lookLater(state, ctx);
  const culprit = culpritOf(world, [...suspicion.texts.values()].flatMap(stacksOf));
  const node = culprit === null ? null : (world.ranks.get(culprit.rank)?.node ?? null);
  const since = seconds(ctx.now() - suspicion.advancedAtMs);
  const blame = culprit === null ? "" : ` The others seem to wait for rank ${culprit.rank}: ${culprit.why}.`;
  const steps = describeSteps(world, ctx.now(), stepLinesMax);
  find(state, ctx, hangKey(state, world), {
    kind: "hang",
    summary: `No rank has made a step for ${since}.${blame}`,
    node,
    rank: culprit?.rank ?? null,
    evidence: `${steps}\n\n${mergeStacks(suspicion.texts, evidenceCharsMax - steps.length - 2)}`,
    action: "restart-ranks",
  });
  lookLater(state, ctx);
}

/** Records a finding and tells it, unless it was made before (G1, W3). */
function find(state: DiagnosisMasterState, ctx: Context, key: string, found: Omit<Finding, "id" | "atMs">): void {
  if (state.record.keys.has(key)) return;
  const evidence = cutMiddle(found.evidence, evidenceCharsMax);
  const finding: Finding = { ...found, evidence, id: ctx.newId("finding"), atMs: ctx.now() };
  ctx.emit({ type: "finding-made", key, finding });
  ctx.tell(masterOrchestrator, { type: "report-finding", finding });
}

/** W3. */
function hangKey(state: DiagnosisMasterState, { round }: ObservedWorld): string {
  return `hang/${round}/${state.volatile.startedAtMs}`;
}
