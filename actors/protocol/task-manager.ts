/** What the Task Manager is told and asked. */

import type { DatasetSpec, ShardRange } from "../../src/job/dataset.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type DatasetRefusal = Readonly<{
  ok: false;
  code:
    | "BAD_DATASET"
    | "UNKNOWN_DATASET"
    | "DATASET_DIFFERS"
    | "NOT_THE_HOLDER"
    | "UNKNOWN_TASK"
    | "BAD_CHECKPOINT"
    | "TOO_MANY_DATASETS";
  message: string;
}>;

/** `taskId` names one lease of a shard and is never used again; `epoch` counts from 0. */
export type ShardTask = Readonly<{ taskId: number; epoch: number; shard: ShardRange }>;

/** Counts of shards over all epochs, unless they say records. */
export type DatasetView = Readonly<{
  name: string;
  kind: DatasetSpec["kind"];
  size: number;
  shardSize: number;
  /** The newest epoch of which a shard was given out, from 0. */
  epoch: number;
  epochs: number;
  todo: number;
  doing: number;
  done: number;
  recordsDone: number;
  failures: number;
}>;

export type TaskManagerMessage =
  | Ask<"register-dataset", { dataset: DatasetSpec }, { ok: true; isNew: boolean } | DatasetRefusal>
  /**
   * `worker` holds what it leases: `node/rank/incarnation` by convention; `node` is whose loss returns it. Waits up
   * to `waitMs` (at most 60 s; the ask's deadline must be some seconds later). A worker that asks again under the
   * same `request` ("" for none) gets the shard that it already got under it: a lost answer loses no shard.
   */
  | Ask<
      "lease-shard",
      { dataset: string; worker: string; node: string; request: string; waitMs: number },
      | Readonly<{ ok: true; status: "shard"; task: ShardTask }>
      | Readonly<{ ok: true; status: "wait" | "done" }>
      | DatasetRefusal
    >
  | Ask<
      "finish-shard",
      { dataset: string; taskId: number; worker: string; isOk: boolean; message: string },
      { ok: true } | DatasetRefusal
    >
  | Ask<"checkpoint-dataset", { dataset: string }, { ok: true; content: string } | DatasetRefusal>
  | Ask<"restore-dataset", { dataset: string; content: string }, { ok: true } | DatasetRefusal>
  /**
   * A stream has `size` records or more by now (late or doubled messages do no harm); with `isEnd` it has exactly so
   * many for good.
   */
  | Ask<"extend-stream", { dataset: string; size: number; isEnd: boolean }, { ok: true } | DatasetRefusal>
  | Ask<"list-datasets", object, { datasets: readonly DatasetView[] }>
  /**
   * From the Job Manager: these workers are gone. `worker` null: all of the node; else that one, and those whose
   * names begin with `worker/`.
   */
  | Tell<"return-shards", { node: string; worker: string | null; because: string }>
  | Tell<"check-timeouts", { dataset: string }>
  | Tell<"lease-deadline", { waiter: number }>;
