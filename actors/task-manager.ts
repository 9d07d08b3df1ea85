/**
 * Task Manager: which records go to whom, and which are done.
 *
 * Owns the datasets, the leases of their shards and the waiting workers. How a dataset moves is in
 * `src/job/dataset-progress.ts`, whose invariants D1 … D5 hold here because every change is an event that only
 * `src/job/shard-ledger.ts` applies. Beyond them:
 *
 * - T1  Only its holder ends a lease: who says that a shard is done must hold it, or have said so before.
 * - T2  A lost answer loses nothing: a lease asked for again under its request, or ended again, is answered as the
 *       first time.
 * - T3  No worker waits while there is a shard for it, or for itself; who waits is answered at once when that
 *       changes.
 * - T4  What a node or worker held comes back when the Job Manager says that it is gone, and its waiters are let go.
 */

import { datasetDifference, datasetProblem, type DatasetSpec } from "../src/job/dataset.js";
import { readCheckpoint, writeCheckpoint } from "../src/job/dataset-checkpoint.js";
import {
  countShards,
  doubtfulOf,
  type DatasetProgress,
  isDone,
  leaseOfRequest,
  newlyDoubtful,
  nextShard,
  nextTimeoutAtMs,
  type PendingShard,
  type ShardLease,
  shardRange,
  timedOutLeases,
  waitsForItself,
} from "../src/job/dataset-progress.js";
import { takeProgress } from "../src/job/dataset-snapshot.js";
import { isWorkerMeant } from "../src/job/shard-holdings.js";
import {
  applyShardEvent,
  type LedgerSnapshot,
  newLedger,
  parseLedger,
  type ShardEvent,
  type ShardLedger,
  takeLedger,
} from "../src/job/shard-ledger.js";
import { ShardWaiters } from "../src/job/shard-waiters.js";
import { type ActorContext, defineActor, type ReplyHandle, type ReplyTo } from "../src/runtime/actor.js";
import type { DatasetRefusal, DatasetView, ShardTask, TaskManagerMessage } from "./protocol/task-manager.js";

/** More are refused with `TOO_MANY_DATASETS`. */
const datasetsMax = 10_000;
/** Waiting workers over all datasets; more are told to wait elsewhere, at once. */
const waitersMax = 65_536;
/** A shard that failed so often, and each time that it failed so often again, is told of in the history. */
const failuresToReport = 3;
/** Longest wait of a `lease-shard`. */
const waitMsMax = 60_000;
/**
 * After a restart leases that timed out meanwhile get this much longer: their workers may only now be able to say
 * that they are done.
 */
const recoveryGraceMs = 30_000;
/** Leases that are timed out in one message. */
const timedOutMax = 1_000;

type LeaseShard = Extract<TaskManagerMessage, { type: "lease-shard" }>;
type LeaseReply = ReplyTo<LeaseShard>;
type Handle = ReplyHandle<LeaseReply>;

export type TaskManagerState = Readonly<{
  ledger: ShardLedger;
  volatile: {
    nextWaiter: number;
    readonly waiters: Map<string, ShardWaiters<Handle>>;
    readonly waiterDatasets: Map<number, string>;
    /** Datasets with a timer for their oldest lease. */
    readonly timed: Set<string>;
  };
}>;

type Context = ActorContext<TaskManagerMessage, ShardEvent>;

export const taskManager = defineActor<TaskManagerState, TaskManagerMessage, ShardEvent>({
  name: "task-manager",
  module: import.meta.url,
  init: () => stateOf(newLedger()),
  started(state, ctx) {
    for (const progress of state.ledger.datasets.values()) {
      const taskIds = newlyDoubtful(progress);
      if (taskIds.length > 0) ctx.emit({ type: "leases-doubted", dataset: progress.spec.name, taskIds });
      watchTimeouts(state, progress, ctx, Math.min(recoveryGraceMs, progress.spec.timeoutMs));
    }
  },
  receive,
  apply: (state, event) => applyShardEvent(state.ledger, event),
  snapshot: {
    version: 1,
    everyEvents: 5_000, // Two a shard: a snapshot of many leases is dear, and an event is cheap to replay.
    take: (state) => takeLedger(state.ledger),
    parse: (taken) => stateOf(parseLedger(taken as LedgerSnapshot)),
  },
});

function stateOf(ledger: ShardLedger): TaskManagerState {
  return { ledger, volatile: { nextWaiter: 1, waiters: new Map(), waiterDatasets: new Map(), timed: new Set() } };
}

function receive(state: TaskManagerState, message: TaskManagerMessage, ctx: Context): void {
  switch (message.type) {
    case "register-dataset":
      return ctx.reply(registerDataset(state, message.dataset, ctx));
    case "list-datasets":
      return ctx.reply({ datasets: [...state.ledger.datasets.values()].map(viewOf) });
    case "return-shards":
      return returnShards(state, message.node, message.worker, message.because, ctx);
    case "lease-deadline":
      return letGo(state, message.waiter, ctx);
    case "check-timeouts":
      return checkTimeouts(state, message.dataset, ctx);
    case "lease-shard":
    case "finish-shard":
    case "checkpoint-dataset":
    case "restore-dataset":
    case "extend-stream": {
      const progress = state.ledger.datasets.get(message.dataset);
      if (progress === undefined)
        return ctx.reply(refusal("UNKNOWN_DATASET", `No dataset ${message.dataset} is registered.`));
      return receiveForDataset(state, progress, message, ctx);
    }
  }
}

function receiveForDataset(
  state: TaskManagerState,
  progress: DatasetProgress,
  message: Extract<TaskManagerMessage, { dataset: string; type: string }>,
  ctx: Context,
): void {
  switch (message.type) {
    case "lease-shard":
      return leaseShard(state, progress, message, ctx);
    case "finish-shard":
      return ctx.reply(finishShard(state, progress, message, ctx));
    case "checkpoint-dataset":
      return ctx.reply({ ok: true, content: writeCheckpoint(progress) });
    case "restore-dataset":
      return ctx.reply(restoreDataset(state, progress, message.content, ctx));
    case "extend-stream":
      return ctx.reply(extendStream(state, progress, message, ctx));
    case "check-timeouts":
      return;
  }
}

function registerDataset(
  state: TaskManagerState,
  dataset: DatasetSpec,
  ctx: Context,
): { ok: true; isNew: boolean } | DatasetRefusal {
  const problem = datasetProblem(dataset);
  if (problem !== null) return refusal("BAD_DATASET", problem);
  const registered = state.ledger.datasets.get(dataset.name);
  if (registered !== undefined) {
    const difference = datasetDifference(registered.spec, dataset);
    if (difference === null) return { ok: true, isNew: false };
    return refusal("DATASET_DIFFERS", `Dataset ${dataset.name} is registered already: ${difference}.`);
  }
  if (state.ledger.datasets.size >= datasetsMax)
    return refusal("TOO_MANY_DATASETS", `A job has at most ${datasetsMax} datasets.`);
  ctx.emit({ type: "dataset-registered", dataset });
  return { ok: true, isNew: true };
}

function leaseShard(state: TaskManagerState, progress: DatasetProgress, message: LeaseShard, ctx: Context): void {
  const { worker, node, request } = message;
  const held = leaseOfRequest(progress, worker, request);
  if (held !== null) return ctx.reply(shardReply(progress, held)); // T2
  const shard = nextShard(progress);
  if (shard !== null) return ctx.reply(giveOut(state, progress, shard, message, ctx));
  const doubtful = request === "" ? doubtfulOf(progress, worker) : null;
  if (doubtful !== null) {
    ctx.emit({ type: "shard-given-again", dataset: progress.spec.name, taskId: doubtful.taskId, worker });
    return ctx.reply(shardReply(progress, doubtful)); // D6
  }
  if (isDone(progress)) return ctx.reply({ ok: true, status: "done" } satisfies LeaseReply);
  const isFull = state.volatile.waiterDatasets.size >= waitersMax;
  if (message.waitMs <= 0 || isFull || waitsForItself(progress, worker)) {
    return ctx.reply({ ok: true, status: "wait" } satisfies LeaseReply); // T3
  }
  const id = state.volatile.nextWaiter++;
  const waiters = state.volatile.waiters.get(progress.spec.name) ?? new ShardWaiters<Handle>();
  state.volatile.waiters.set(progress.spec.name, waiters);
  const replaced = waiters.add({ id, worker, node, request, handle: ctx.deferReply<LeaseReply>() });
  state.volatile.waiterDatasets.set(id, progress.spec.name);
  if (replaced !== null) answerWaiter(state, replaced, { ok: true, status: "wait" }, ctx);
  ctx.after(Math.min(message.waitMs, waitMsMax), waiterKey(id), { type: "lease-deadline", waiter: id });
}

function giveOut(
  state: TaskManagerState,
  progress: DatasetProgress,
  shard: PendingShard,
  to: Readonly<{ worker: string; node: string; request: string }>,
  ctx: Context,
): LeaseReply {
  const { worker, node, request } = to;
  const lease: ShardLease = { ...shard, taskId: state.ledger.nextTaskId, worker, node, request, atMs: ctx.now() };
  ctx.emit({ type: "shard-leased", dataset: progress.spec.name, lease });
  watchTimeouts(state, progress, ctx, 0);
  return shardReply(progress, lease);
}

function shardReply(progress: DatasetProgress, lease: ShardLease): LeaseReply {
  const task: ShardTask = { taskId: lease.taskId, epoch: lease.epoch, shard: shardRange(progress, lease) };
  return { ok: true, status: "shard", task };
}

function finishShard(
  state: TaskManagerState,
  progress: DatasetProgress,
  message: Extract<TaskManagerMessage, { type: "finish-shard" }>,
  ctx: Context,
): { ok: true } | DatasetRefusal {
  const { taskId, worker, isOk } = message;
  const lease = progress.leases.get(taskId);
  if (lease === undefined || lease.worker !== worker) {
    const end = state.ledger.ends.get(taskId);
    if (end?.worker === worker && end.isOk === isOk) return { ok: true }; // T2
    if (taskId >= state.ledger.nextTaskId || taskId < 1)
      return refusal("UNKNOWN_TASK", `Task ${taskId} was never given out.`);
    return refusal("NOT_THE_HOLDER", `Task ${taskId} is not held by ${worker} (any more).`); // T1
  }
  if (isOk) ctx.emit({ type: "shard-finished", dataset: message.dataset, taskId });
  else takeBack(progress, lease, true, message.message, ctx);
  settle(state, progress, ctx);
  return { ok: true };
}

function takeBack(
  progress: DatasetProgress,
  lease: ShardLease,
  isFailure: boolean,
  because: string,
  ctx: Context,
): void {
  const dataset = progress.spec.name;
  ctx.emit({ type: "shard-returned", dataset, taskId: lease.taskId, isFailure, because });
  const failures = lease.failures + 1;
  if (!isFailure || failures % failuresToReport !== 0) return;
  const { epoch, index } = lease;
  ctx.emit({ type: "shard-kept-failing", dataset, epoch, index, failures, because });
  ctx.log("warn", "a shard keeps failing", { dataset, ...shardRange(progress, lease), epoch, failures, because });
}

function restoreDataset(
  state: TaskManagerState,
  progress: DatasetProgress,
  content: string,
  ctx: Context,
): { ok: true } | DatasetRefusal {
  const restored = readCheckpoint(progress, content);
  if (typeof restored === "string") return refusal("BAD_CHECKPOINT", `The checkpoint cannot be restored. ${restored}`);
  ctx.emit({ type: "dataset-restored", progress: takeProgress(restored) });
  settle(state, state.ledger.datasets.get(progress.spec.name) ?? restored, ctx);
  return { ok: true };
}

function extendStream(
  state: TaskManagerState,
  progress: DatasetProgress,
  { dataset, size, isEnd }: Extract<TaskManagerMessage, { type: "extend-stream" }>,
  ctx: Context,
): { ok: true } | DatasetRefusal {
  const { spec } = progress;
  if (spec.kind !== "stream")
    return refusal("DATASET_DIFFERS", `Dataset ${dataset} is a ${spec.kind}; only a stream grows.`);
  const problem = datasetProblem({ ...spec, size });
  if (problem !== null) return refusal("BAD_DATASET", problem);
  if ((progress.isEnded && size > progress.size) || (isEnd && size < progress.size)) {
    const known = progress.isEnded ? "ended with" : "has";
    return refusal(
      "DATASET_DIFFERS",
      `Stream ${dataset} ${known} ${progress.size} records; it cannot be said to have ${size} now.`,
    );
  }
  if (size <= progress.size && (!isEnd || progress.isEnded)) return { ok: true };
  ctx.emit({ type: "stream-extended", dataset, size, isEnd });
  settle(state, progress, ctx);
  return { ok: true };
}

/** T4. */
function returnShards(
  state: TaskManagerState,
  node: string,
  worker: string | null,
  because: string,
  ctx: Context,
): void {
  for (const waiters of state.volatile.waiters.values()) {
    const gone = waiters.removeWhere((waiter) => waiter.node === node && isWorkerMeant(worker, waiter.worker));
    for (const waiter of gone) answerWaiter(state, waiter, { ok: true, status: "wait" }, ctx);
  }
  const touched = new Set<DatasetProgress>();
  for (const [taskId, dataset] of state.ledger.holdings.tasksOf(node, worker)) {
    const progress = state.ledger.datasets.get(dataset);
    const lease = progress?.leases.get(taskId);
    if (progress === undefined || lease === undefined) continue;
    takeBack(progress, lease, false, because, ctx);
    touched.add(progress);
  }
  for (const progress of touched) settle(state, progress, ctx);
}

function checkTimeouts(state: TaskManagerState, dataset: string, ctx: Context): void {
  state.volatile.timed.delete(dataset);
  const progress = state.ledger.datasets.get(dataset);
  if (progress === undefined) return;
  const timedOut = timedOutLeases(progress, ctx.now(), timedOutMax);
  for (const lease of timedOut) takeBack(progress, lease, false, `not done within ${progress.spec.timeoutMs} ms`, ctx);
  watchTimeouts(state, progress, ctx, 0);
  if (timedOut.length > 0) settle(state, progress, ctx);
}

/** One timer a dataset, for its oldest lease, no sooner than in `delayMsMin`. */
function watchTimeouts(state: TaskManagerState, progress: DatasetProgress, ctx: Context, delayMsMin: number): void {
  const dataset = progress.spec.name;
  const atMs = nextTimeoutAtMs(progress);
  if (atMs === null || state.volatile.timed.has(dataset)) return;
  state.volatile.timed.add(dataset);
  ctx.after(Math.max(delayMsMin, atMs - ctx.now()), `timeouts/${dataset}`, { type: "check-timeouts", dataset });
}

/** After a change of the dataset: answers who need not wait any more (T3). */
function settle(state: TaskManagerState, progress: DatasetProgress, ctx: Context): void {
  const isOver = isDone(progress);
  if (isOver) ctx.emit({ type: "dataset-completed", dataset: progress.spec.name });
  const waiters = state.volatile.waiters.get(progress.spec.name);
  if (waiters === undefined) return;
  for (let waiter = waiters.first(); waiter !== null; waiter = waiters.first()) {
    const shard = nextShard(progress);
    if (shard === null && !isOver) break;
    waiters.remove(waiter.id);
    const reply: LeaseReply =
      shard === null ? { ok: true, status: "done" } : giveOut(state, progress, shard, waiter, ctx);
    answerWaiter(state, waiter, reply, ctx);
  }
  for (const worker of progress.holders.size === 1 ? progress.holders.keys() : []) {
    if (!waitsForItself(progress, worker)) break;
    for (const waiter of waiters.removeOf(worker)) answerWaiter(state, waiter, { ok: true, status: "wait" }, ctx);
  }
  if (waiters.size === 0) state.volatile.waiters.delete(progress.spec.name);
}

function letGo(state: TaskManagerState, id: number, ctx: Context): void {
  const dataset = state.volatile.waiterDatasets.get(id);
  const waiter = dataset === undefined ? null : (state.volatile.waiters.get(dataset)?.remove(id) ?? null);
  if (waiter !== null) answerWaiter(state, waiter, { ok: true, status: "wait" }, ctx);
}

function answerWaiter(
  state: TaskManagerState,
  waiter: Readonly<{ id: number; handle: Handle }>,
  reply: LeaseReply,
  ctx: Context,
): void {
  state.volatile.waiterDatasets.delete(waiter.id);
  ctx.cancel(waiterKey(waiter.id));
  ctx.answer(waiter.handle, reply);
}

function viewOf(progress: DatasetProgress): DatasetView {
  const { spec, size, epoch, recordsDone, failures } = progress;
  const { name, kind, shardSize, epochs } = spec;
  const shown = Math.min(epoch, epochs - 1);
  return { name, kind, size, shardSize, epoch: shown, epochs, recordsDone, failures, ...countShards(progress) };
}

function refusal(code: DatasetRefusal["code"], message: string): DatasetRefusal {
  return { ok: false, code, message };
}

function waiterKey(id: number): string {
  return `waiter/${id}`;
}
