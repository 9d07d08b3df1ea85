/**
 * How far one dataset is: which shards were made, who holds which, which came back. Plain data, changed in place by
 * `apply…`.
 *
 * A shard is its epoch and its place in the epoch's order; shards are made when they are asked for and never stored,
 * so that the cost of an operation and the size of this depend on the leases that are out, and not on the records.
 * Between what was made (everything before `epoch`, `next`) and what is done stand exactly the leased and the
 * returned shards:
 *
 * - D1  No shard is lost: every shard before the position is leased, returned or done, and exactly one of them.
 * - D2  None is done twice: a finished shard is never leased again, unless an older checkpoint is restored.
 * - D3  A shard has one holder at a time: it is leased again only after its lease was returned (failed, timed out,
 *       its holder gone).
 * - D4  Returned shards are given out again before new ones are made.
 * - D5  Leased and returned shards together are at most `leasesMax`; a dataset that is there gives out nothing until
 *       some are done.
 *
 * - D6  A lease is doubtful when its answer may have been lost with the master, and its client (DLRover's) sends no request id by which it could
 *       ask for it again. It is resolved by its end; or given again, under the same task id, to a worker of its holder that asks for more when
 *       nothing else is left. A client that did get it may still say that it is done: it counts once (D2).
 *
 * Epochs are no barrier: the first shard of the next one is given out while others still hold shards of the last.
 */

import type { DatasetSpec, ShardRange } from "./dataset.js";
import { orderKey, shuffledPlace, shuffledRange } from "./shard-order.js";
import { ShardQueue } from "./shard-queue.js";

/** D5. */
export const leasesMax = 100_000;

/** A shard, and how often it was reported as failed. */
export type PendingShard = Readonly<{ epoch: number; index: number; failures: number }>;

export type ShardLease = PendingShard &
  Readonly<{ taskId: number; worker: string; node: string; /** "" for none. */ request: string; atMs: number }>;

export type DatasetProgress = {
  readonly spec: DatasetSpec;
  /** Records; grows for a stream. */
  size: number;
  /** No stream, or one that will not grow any more. */
  isEnded: boolean;
  epoch: number;
  /** Shards of `epoch` that were made. */
  next: number;
  recordsDone: number;
  failures: number;
  readonly returned: ShardQueue<PendingShard>;
  /** By task, the oldest lease first. */
  readonly leases: Map<number, ShardLease>;
  /** Workers that hold something, and how much. Follows from `leases`. */
  readonly holders: Map<string, number>;
  /** Tasks by worker and request. Follows from `leases`. */
  readonly requests: Map<string, number>;
  /** D6, oldest first. */
  readonly doubtful: Set<number>;
};

export function newProgress(spec: DatasetSpec): DatasetProgress {
  return {
    spec,
    size: spec.size,
    isEnded: spec.kind !== "stream",
    epoch: 0,
    next: 0,
    recordsDone: 0,
    failures: 0,
    returned: new ShardQueue(),
    leases: new Map(),
    holders: new Map(),
    requests: new Map(),
    doubtful: new Set(),
  };
}

/** Shards in an epoch. The last one, which may be short, counts once the dataset cannot grow. */
export function shardsPerEpoch(progress: DatasetProgress): number {
  const { size, isEnded, spec } = progress;
  return isEnded ? Math.ceil(size / spec.shardSize) : Math.floor(size / spec.shardSize);
}

/** The shard to give out next (D4), or null if none can be given out now. */
export function nextShard(progress: DatasetProgress): PendingShard | null {
  if (progress.leases.size >= leasesMax) return null;
  const returned = progress.returned.first();
  if (returned !== undefined) return returned;
  return hasNewShards(progress) ? { epoch: progress.epoch, index: progress.next, failures: 0 } : null;
}

/** Whether all that there will ever be is done. */
export function isDone(progress: DatasetProgress): boolean {
  return progress.isEnded && !hasNewShards(progress) && progress.leases.size === 0 && progress.returned.length === 0;
}

/** Whether nothing can come for this worker but what it holds itself: to let it wait would be to wait for itself. */
export function waitsForItself(progress: DatasetProgress, worker: string): boolean {
  return progress.isEnded && !hasNewShards(progress) && progress.holders.size === 1 && progress.holders.has(worker);
}

/** The lease that the worker was given under this request and still holds. */
export function leaseOfRequest(progress: DatasetProgress, worker: string, request: string): ShardLease | null {
  const taskId = request === "" ? undefined : progress.requests.get(requestKey({ worker, request }));
  return (taskId === undefined ? undefined : progress.leases.get(taskId)) ?? null;
}

/** Leases after which a master that died may not have answered any more: within this of the newest one. */
const doubtMs = 1_000;

/** D6: what has become doubtful with the end of a master. */
export function newlyDoubtful(progress: DatasetProgress): number[] {
  const anonymous = [...progress.leases.values()].filter(({ request }) => request === "");
  const newestAtMs = anonymous.at(-1)?.atMs ?? 0;
  return anonymous.filter(({ taskId, atMs }) => atMs >= newestAtMs - doubtMs && !progress.doubtful.has(taskId)).map(({ taskId }) => taskId);
}

/** D6: the oldest doubtful lease of a worker. */
export function doubtfulOf(progress: DatasetProgress, worker: string): ShardLease | null {
  for (const taskId of progress.doubtful) {
    const lease = progress.leases.get(taskId);
    if (lease?.worker === worker) return lease;
  }
  return null;
}

/** The records of a shard. */
export function shardRange(
  progress: DatasetProgress,
  { epoch, index }: Pick<PendingShard, "epoch" | "index">,
): ShardRange {
  const { kind, isShuffled, seed } = progress.spec;
  const { start, end } = recordsOf(progress, epoch, index);
  if (kind !== "text") return { start, end, indices: null };
  if (isShuffled) return { start, end, indices: shuffledRange(start, end, orderKey(seed, epoch, index)) };
  return { start, end, indices: Array.from({ length: end - start }, (_, offset) => start + offset) };
}

/** When the oldest lease times out, or null. */
export function nextTimeoutAtMs(progress: DatasetProgress): number | null {
  if (progress.spec.timeoutMs === 0) return null;
  for (const lease of progress.leases.values()) return lease.atMs + progress.spec.timeoutMs;
  return null;
}

/** Leases that have timed out by `nowMs`, oldest first, at most `countMax` of them. */
export function timedOutLeases(progress: DatasetProgress, nowMs: number, countMax: number): ShardLease[] {
  const timedOut: ShardLease[] = [];
  if (progress.spec.timeoutMs === 0) return timedOut;
  for (const lease of progress.leases.values()) {
    if (lease.atMs + progress.spec.timeoutMs > nowMs || timedOut.length >= countMax) break;
    timedOut.push(lease);
  }
  return timedOut;
}

/** Shards over all epochs. */
export function countShards(progress: DatasetProgress): Readonly<{ todo: number; doing: number; done: number }> {
  const count = shardsPerEpoch(progress);
  const made = progress.epoch * count + progress.next;
  const doing = progress.leases.size;
  const returned = progress.returned.length;
  return { todo: count * progress.spec.epochs - made + returned, doing, done: made - doing - returned };
}

/** The shard is the next new one, or else the first of the returned. */
export function applyLease(progress: DatasetProgress, lease: ShardLease): void {
  if (lease.epoch === progress.epoch && lease.index === progress.next) advance(progress);
  else progress.returned.shift();
  restoreLease(progress, lease);
}

/** A lease out of a snapshot, whose position already counts it. */
export function restoreLease(progress: DatasetProgress, lease: ShardLease): void {
  progress.leases.set(lease.taskId, lease);
  progress.holders.set(lease.worker, (progress.holders.get(lease.worker) ?? 0) + 1);
  if (lease.request !== "") progress.requests.set(requestKey(lease), lease.taskId);
}

/** D2. */
export function applyFinish(progress: DatasetProgress, lease: ShardLease): void {
  const { start, end } = recordsOf(progress, lease.epoch, lease.index);
  progress.recordsDone += end - start;
  endLease(progress, lease);
}

/** D1. */
export function applyReturn(progress: DatasetProgress, lease: ShardLease, isFailure: boolean): void {
  const failed = isFailure ? 1 : 0;
  progress.failures += failed;
  endLease(progress, lease);
  progress.returned.push({ epoch: lease.epoch, index: lease.index, failures: lease.failures + failed });
}

export function applyExtension(progress: DatasetProgress, size: number, isEnd: boolean): void {
  progress.size = Math.max(progress.size, size);
  progress.isEnded ||= isEnd;
}

function hasNewShards(progress: DatasetProgress): boolean {
  return progress.epoch < progress.spec.epochs && progress.next < shardsPerEpoch(progress);
}

function advance(progress: DatasetProgress): void {
  progress.next += 1;
  if (progress.spec.kind === "stream" || progress.next < shardsPerEpoch(progress)) return;
  progress.epoch += 1;
  progress.next = 0;
}

function endLease(progress: DatasetProgress, lease: ShardLease): void {
  progress.leases.delete(lease.taskId);
  progress.doubtful.delete(lease.taskId);
  const held = (progress.holders.get(lease.worker) ?? 1) - 1;
  if (held === 0) progress.holders.delete(lease.worker);
  else progress.holders.set(lease.worker, held);
  if (lease.request !== "") progress.requests.delete(requestKey(lease));
}

function recordsOf(progress: DatasetProgress, epoch: number, index: number): Readonly<{ start: number; end: number }> {
  const { kind, isShuffled, seed, shardSize } = progress.spec;
  const isMoved = isShuffled && kind !== "stream";
  const place = isMoved ? shuffledPlace(index, shardsPerEpoch(progress), orderKey(seed, epoch)) : index;
  return { start: place * shardSize, end: Math.min((place + 1) * shardSize, progress.size) };
}

/** Names a request among those of all workers. */
export function requestKey({ worker, request }: Readonly<{ worker: string; request: string }>): string {
  return `${worker}\n${request}`;
}
