/**
 * All datasets of a job and who holds what of them: the Task Manager's durable state, and the events that change it.
 *
 * Owns the numbering of tasks and the memory of leases that ended. How one dataset moves is in `dataset-progress.ts`.
 */

import type { DatasetSpec } from "./dataset.js";
import {
  applyExtension,
  applyFinish,
  applyLease,
  applyReturn,
  type DatasetProgress,
  newProgress,
  type ShardLease,
} from "./dataset-progress.js";
import { type DatasetSnapshot, parseProgress, takeProgress } from "./dataset-snapshot.js";
import { ShardHoldings } from "./shard-holdings.js";

/** Ends of leases that are remembered; one that is told again later than that is refused with `NOT_THE_HOLDER`. */
const endsMax = 4_096;

export type ShardEvent =
  | Readonly<{ type: "dataset-registered"; dataset: DatasetSpec }>
  | Readonly<{ type: "stream-extended"; dataset: string; size: number; isEnd: boolean }>
  | Readonly<{ type: "shard-leased"; dataset: string; lease: ShardLease }>
  | Readonly<{ type: "shard-finished"; dataset: string; taskId: number }>
  /** Their answers may have been lost with the master. */
  | Readonly<{ type: "leases-doubted"; dataset: string; taskIds: readonly number[] }>
  | Readonly<{ type: "shard-given-again"; dataset: string; taskId: number; worker: string }>
  | Readonly<{ type: "shard-returned"; dataset: string; taskId: number; isFailure: boolean; because: string }>
  /** For the history: a shard failed three times, or six, …; it is given out again all the same. */
  | Readonly<{
      type: "shard-kept-failing";
      dataset: string;
      epoch: number;
      index: number;
      failures: number;
      because: string;
    }>
  /** For the history. */
  | Readonly<{ type: "dataset-completed"; dataset: string }>
  | Readonly<{ type: "dataset-restored"; progress: DatasetSnapshot }>;

/** How a holder said that its lease ended. */
export type LeaseEnd = Readonly<{ worker: string; isOk: boolean }>;

export type ShardLedger = {
  nextTaskId: number;
  readonly datasets: Map<string, DatasetProgress>;
  /** By task, oldest first. */
  readonly ends: Map<number, LeaseEnd>;
  readonly holdings: ShardHoldings;
};

export type LedgerSnapshot = Readonly<{
  nextTaskId: number;
  datasets: readonly DatasetSnapshot[];
  ends: readonly (readonly [number, LeaseEnd])[];
}>;

export function newLedger(): ShardLedger {
  return { nextTaskId: 1, datasets: new Map(), ends: new Map(), holdings: new ShardHoldings() };
}

/** The only way in which a ledger changes. */
export function applyShardEvent(ledger: ShardLedger, event: ShardEvent): void {
  if (event.type === "dataset-registered") {
    ledger.datasets.set(event.dataset.name, newProgress(event.dataset));
    return;
  }
  if (event.type === "dataset-restored") return applyRestored(ledger, parseProgress(event.progress));
  const progress = ledger.datasets.get(event.dataset);
  if (progress === undefined) return;
  switch (event.type) {
    case "stream-extended":
      return applyExtension(progress, event.size, event.isEnd);
    case "shard-leased": {
      const { taskId, node, worker } = event.lease;
      ledger.nextTaskId = taskId + 1;
      ledger.holdings.add(node, worker, taskId, event.dataset);
      return applyLease(progress, event.lease);
    }
    case "leases-doubted":
      for (const taskId of event.taskIds) if (progress.leases.has(taskId)) progress.doubtful.add(taskId);
      return;
    case "shard-given-again":
      progress.doubtful.delete(event.taskId);
      return;
    case "shard-finished":
    case "shard-returned": {
      const lease = progress.leases.get(event.taskId);
      if (lease === undefined) return;
      const isOk = event.type === "shard-finished";
      ledger.holdings.remove(lease.node, lease.worker, lease.taskId);
      if (isOk || event.isFailure) rememberEnd(ledger, lease, isOk);
      return isOk ? applyFinish(progress, lease) : applyReturn(progress, lease, event.isFailure);
    }
    case "shard-kept-failing":
    case "dataset-completed":
      return;
  }
}

function applyRestored(ledger: ShardLedger, restored: DatasetProgress): void {
  const { name } = restored.spec;
  for (const { node, worker, taskId } of ledger.datasets.get(name)?.leases.values() ?? [])
    ledger.holdings.remove(node, worker, taskId);
  ledger.datasets.set(name, restored);
}

function rememberEnd(ledger: ShardLedger, { taskId, worker }: ShardLease, isOk: boolean): void {
  ledger.ends.set(taskId, { worker, isOk });
  if (ledger.ends.size <= endsMax) return;
  for (const oldest of ledger.ends.keys()) {
    ledger.ends.delete(oldest);
    return;
  }
}

export function takeLedger({ nextTaskId, datasets, ends }: ShardLedger): LedgerSnapshot {
  return { nextTaskId, datasets: [...datasets.values()].map(takeProgress), ends: [...ends] };
}

export function parseLedger({ nextTaskId, datasets, ends }: LedgerSnapshot): ShardLedger {
  const ledger: ShardLedger = { ...newLedger(), nextTaskId, ends: new Map(ends) };
  for (const progress of datasets.map(parseProgress)) {
    ledger.datasets.set(progress.spec.name, progress);
    for (const { node, worker, taskId } of progress.leases.values())
      ledger.holdings.add(node, worker, taskId, progress.spec.name);
  }
  return ledger;
}
