/**
 * The shard checkpoint of DLRover's own master, for jobs that move: { dataset_name, todo, doing, epoch }, with shards as [start, end], or
 * [start, end, indices] of a shuffled text.
 *
 * It counts an epoch when its shards are made; a table of more than 50,000 shards has its epochs in parts of so many, each counted as one.
 * Drover's shuffled orders are its own, so that only what is left of a dataset in its natural order can be taken over.
 */

import { type DatasetProgress, leasesMax, newProgress, type PendingShard, shardsPerEpoch } from "../dataset-progress.js";

const partMax = 50_000;

export type StockCheckpoint = Readonly<{ todo: readonly unknown[]; doing: readonly unknown[]; epoch?: unknown }>;

export function isStockCheckpoint(saved: object): saved is StockCheckpoint {
  return "todo" in saved && Array.isArray(saved.todo) && "doing" in saved && Array.isArray(saved.doing);
}

/** The progress that it stands for, without leases, or a sentence that says why it cannot be had. */
export function readStockCheckpoint({ spec, size, isEnded }: DatasetProgress, { todo, doing, epoch }: StockCheckpoint): DatasetProgress | string {
  if (spec.isShuffled || spec.kind === "stream") return "It is of DLRover's own master, which shuffles otherwise: only a dataset in its natural order can be taken over.";
  const progress = { ...newProgress(spec), size, isEnded };
  const count = shardsPerEpoch(progress);
  const parts = spec.kind === "table" && count > partMax ? Math.ceil(count / partMax) : 1;
  const epochMax = spec.epochs * parts;
  if (typeof epoch !== "number" || !Number.isSafeInteger(epoch) || epoch < 0 || epoch > epochMax) {
    return `Its epoch is ${String(epoch)}; it must be a whole number from 0 to ${epochMax}.`;
  }
  if (epoch === 0) return progress;
  progress.epoch = Math.floor((epoch - 1) / parts);
  const made = Math.min(count, (((epoch - 1) % parts) + 1) * (parts === 1 ? count : partMax));
  const left = new Set<number>();
  for (const shard of [...doing, ...todo]) {
    const [start, end] = Array.isArray(shard) ? (shard as unknown[]) : [];
    const index = typeof start === "number" ? start / spec.shardSize : Number.NaN;
    const isShard = Number.isSafeInteger(index) && index >= 0 && index < made && end === Math.min((index + 1) * spec.shardSize, size);
    if (!isShard || left.has(index)) return `It names a shard that this dataset does not have: ${JSON.stringify(shard)}.`;
    left.add(index);
  }
  progress.next = made;
  while (left.delete(progress.next - 1)) progress.next -= 1; // The end of the list is what nobody has begun.
  if (left.size > leasesMax) return `It has ${left.size} pending shards; at most ${leasesMax} can be.`;
  for (const index of [...left].sort((a, b) => a - b)) progress.returned.push({ epoch: progress.epoch, index, failures: 0 } satisfies PendingShard);
  const recordsBefore = progress.epoch * size + Math.min(size, progress.next * spec.shardSize);
  const recordsLeft = [...left].reduce((sum, index) => sum + Math.min((index + 1) * spec.shardSize, size) - index * spec.shardSize, 0);
  progress.recordsDone = recordsBefore - recordsLeft;
  if (progress.next === count) {
    progress.epoch += 1;
    progress.next = 0;
  }
  return progress;
}
