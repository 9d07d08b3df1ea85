/**
 * The progress of a dataset as it goes into the Task Manager's snapshot; what follows from the leases is left out and
 * made again.
 */

import type { DatasetSpec } from "./dataset.js";
import {
  type DatasetProgress,
  newProgress,
  type PendingShard,
  restoreLease,
  type ShardLease,
} from "./dataset-progress.js";

export type DatasetSnapshot = Readonly<{
  spec: DatasetSpec;
  size: number;
  isEnded: boolean;
  epoch: number;
  next: number;
  recordsDone: number;
  failures: number;
  returned: readonly PendingShard[];
  leases: readonly ShardLease[];
  doubtful: readonly number[];
}>;

export function takeProgress(progress: DatasetProgress): DatasetSnapshot {
  const { spec, size, isEnded, epoch, next, recordsDone, failures } = progress;
  const returned = progress.returned.toArray();
  return { spec, size, isEnded, epoch, next, recordsDone, failures, returned, leases: [...progress.leases.values()], doubtful: [...progress.doubtful] };
}

export function parseProgress(taken: DatasetSnapshot): DatasetProgress {
  const { spec, size, isEnded, epoch, next, recordsDone, failures } = taken;
  const progress = { ...newProgress(spec), size, isEnded, epoch, next, recordsDone, failures };
  for (const shard of taken.returned) progress.returned.push(shard);
  for (const lease of taken.leases) restoreLease(progress, lease);
  for (const taskId of taken.doubtful) progress.doubtful.add(taskId);
  return progress;
}
