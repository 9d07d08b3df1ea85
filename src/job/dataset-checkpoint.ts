/**
 * The checkpoint of a dataset: what is not done yet, as JSON that a training script keeps beside its model.
 *
 * It is the position and the shards before it that are not done (leased or returned when it was taken), so it grows
 * with the leases that are out and not with the dataset. To restore it makes exactly those shards and everything
 * after the position come again.
 */

import type { DatasetSpec } from "./dataset.js";
import { isStockCheckpoint, readStockCheckpoint } from "./dlrover/stock-checkpoint.js";
import { type DatasetProgress, leasesMax, newProgress, shardsPerEpoch, type PendingShard } from "./dataset-progress.js";

const version = 1;

/** Fields that decide which records a shard has; they must be the same for a checkpoint to mean anything. */
const identity = ["kind", "shardSize", "isShuffled", "seed"] as const;

type Checkpoint = Pick<DatasetSpec, (typeof identity)[number]> &
  Readonly<{
    version: number;
    size: number;
    isEnded: boolean;
    epoch: number;
    next: number;
    recordsDone: number;
    failures: number;
    /** Epoch, index and failures of each shard that is not done. */
    pending: readonly (readonly number[])[];
  }>;

export function writeCheckpoint(progress: DatasetProgress): string {
  const { spec, size, isEnded, epoch, next, recordsDone, failures } = progress;
  const { kind, shardSize, isShuffled, seed } = spec;
  const pending = [...progress.returned.toArray(), ...progress.leases.values()].map((shard) => [
    shard.epoch,
    shard.index,
    shard.failures,
  ]);
  const content: Checkpoint = {
    version,
    kind,
    shardSize,
    isShuffled,
    seed,
    size,
    isEnded,
    epoch,
    next,
    recordsDone,
    failures,
    pending,
  };
  return JSON.stringify(content);
}

/**
 * The progress that a checkpoint stands for, without leases, or a sentence that says why it cannot be had. `epochs`
 * and `timeoutMs` may differ from what they were: a finished training can be gone on with. A stream keeps the records
 * that it has by now.
 */
export function readCheckpoint(current: DatasetProgress, content: string): DatasetProgress | string {
  const parsed = parse(content);
  if (typeof parsed === "string") return parsed;
  if (isStockCheckpoint(parsed)) return readStockCheckpoint(current, parsed);
  const saved = checked(parsed);
  if (typeof saved === "string") return saved;
  const { spec } = current;
  const differing = identity.find((field) => saved[field] !== spec[field]);
  if (differing !== undefined)
    return `It is of another dataset: ${differing} was ${saved[differing]} and is ${spec[differing]} now.`;
  const sizeNow = spec.kind === "stream" ? sizeOfStream(current, saved) : spec.size;
  if (sizeNow === null || (spec.kind !== "stream" && saved.size !== sizeNow)) {
    return `It is of another dataset: size was ${saved.size} and is ${current.size} now.`;
  }
  const progress: DatasetProgress = {
    ...newProgress(spec),
    size: sizeNow,
    isEnded: current.isEnded || saved.isEnded,
    epoch: saved.epoch,
    next: saved.next,
    recordsDone: saved.recordsDone,
    failures: saved.failures,
  };
  return fillPending(progress, saved.pending);
}

/** What both know of the stream; null if one says that it ended before what the other has of it. */
function sizeOfStream(current: DatasetProgress, saved: Checkpoint): number | null {
  const size = Math.max(saved.size, current.size);
  const isCutShort = (saved.isEnded && saved.size < size) || (current.isEnded && current.size < size);
  return isCutShort ? null : size;
}

function fillPending(progress: DatasetProgress, pending: Checkpoint["pending"]): DatasetProgress | string {
  const count = shardsPerEpoch(progress);
  const { kind, epochs } = progress.spec;
  const nextMax = kind === "stream" ? count : Math.max(0, count - 1);
  if (progress.epoch > epochs || progress.next > (progress.epoch === epochs ? 0 : nextMax)) {
    const position = `shard ${progress.next} of epoch ${progress.epoch}`;
    return `It is at ${position}, and there are ${epochs} epochs of ${count} shards.`;
  }
  const seen = new Set<string>();
  for (const [epoch = -1, index = -1, failures = -1] of pending) {
    const isBefore = epoch < progress.epoch || (epoch === progress.epoch && index < progress.next);
    const isShard = isCount(epoch) && isCount(index) && isCount(failures) && index < count && isBefore;
    const key = `${epoch}:${index}`;
    if (!isShard || seen.has(key)) return `It names a shard that cannot be pending: epoch ${epoch}, index ${index}.`;
    seen.add(key);
    progress.returned.push({ epoch, index, failures } satisfies PendingShard);
  }
  return progress;
}

function parse(content: string): object | string {
  let parsed: unknown;
  try {
    parsed = JSON.parse(content);
  } catch (error) {
    return `It is not JSON: ${error instanceof Error ? error.message : String(error)}.`;
  }
  return typeof parsed === "object" && parsed !== null ? parsed : "It is not a JSON object.";
}

function checked(parsed: object): Checkpoint | string {
  const saved: Partial<Checkpoint> = parsed;
  if (saved.version !== version)
    return `Its version is ${String(saved.version)}; this Drover reads version ${version}.`;
  const counts = [saved.size, saved.epoch, saved.next, saved.recordsDone, saved.failures];
  if (!counts.every(isCount) || typeof saved.isEnded !== "boolean")
    return "A number in it is missing, negative or not whole.";
  if (!Array.isArray(saved.pending) || !saved.pending.every(Array.isArray))
    return "Its list of pending shards is not a list of lists.";
  if (saved.pending.length > leasesMax)
    return `It has ${saved.pending.length} pending shards; at most ${leasesMax} can be.`;
  return saved as Checkpoint;
}

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
