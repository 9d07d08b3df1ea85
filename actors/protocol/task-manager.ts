/** What the Task Manager is told and asked. */

import type { DatasetSpec, ShardRange } from "../../src/job/dataset.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type DatasetRefusal = Readonly<{
  ok: false;
  code: "UNKNOWN_DATASET" | "DATASET_DIFFERS" | "NOT_THE_HOLDER" | "UNKNOWN_TASK" | "BAD_CHECKPOINT" | "TOO_MANY_DATASETS";
  message: string;
}>;

export type ShardTask = Readonly<{ taskId: number; epoch: number; shard: ShardRange }>;

export type DatasetView = Readonly<{
  name: string;
  kind: DatasetSpec["kind"];
  size: number;
  shardSize: number;
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
  /** `worker` holds what it leases: `node/rank/incarnation` by convention; `node` is whose loss returns it. Waits up to `waitMs`. */
  | Ask<
      "lease-shard",
      { dataset: string; worker: string; node: string; waitMs: number },
      Readonly<{ ok: true; status: "shard"; task: ShardTask }> | Readonly<{ ok: true; status: "wait" | "done" }> | DatasetRefusal
    >
  | Ask<"finish-shard", { dataset: string; taskId: number; worker: string; isOk: boolean; message: string }, { ok: true } | DatasetRefusal>
  | Ask<"checkpoint-dataset", { dataset: string }, { ok: true; content: string } | DatasetRefusal>
  | Ask<"restore-dataset", { dataset: string; content: string }, { ok: true } | DatasetRefusal>
  | Ask<"extend-stream", { dataset: string; size: number; isEnd: boolean }, { ok: true } | DatasetRefusal>
  | Ask<"list-datasets", object, { datasets: readonly DatasetView[] }>
  /** From the Job Manager: these workers are gone (a node lost: `worker` null; a rank's life over: its worker prefix). */
  | Tell<"return-shards", { node: string; worker: string | null; because: string }>
  | Tell<"check-timeouts">
  | Tell<"lease-deadline", { waiter: number }>;
