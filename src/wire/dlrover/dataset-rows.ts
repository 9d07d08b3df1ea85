/** The messages of dynamic sharding: DLRover's datasets, shards and their checkpoints, asked of the Task Manager. */

import type { DatasetSpec } from "../../job/dataset.js";
import { type Caller, get, report, type Row } from "./row.js";
import type { MessageOf } from "./message-classes.js";
import { datasetOfCheckpoint, namedCheckpoint } from "./shard-checkpoint.js";

/** A worker that asks while others hold the last shards waits so long, and asks again: its client's deadline is 60 s. */
const shardWaitMs = 45_000;
/** Default of DLRover's client for minibatches a shard. */
const minibatches = 100;
/** TaskType.NONE. */
const noTask = { task_id: -1, shard: { name: "", start: -1, end: -1, indices: [] }, type: 0 };

function datasetOf(fields: MessageOf<"DatasetShardParams">): DatasetSpec {
  const shardSize = fields.batch_size * (fields.num_minibatches_per_shard || minibatches);
  return {
    name: fields.dataset_name,
    kind: fields.storage_type === "text" ? "text" : "table",
    size: fields.dataset_size,
    shardSize,
    epochs: fields.num_epochs > 0 ? fields.num_epochs : 1_000_000,
    isShuffled: fields.shuffle,
    seed: 0,
    timeoutMs: 0,
  };
}

function workerOf({ sender }: Caller): string {
  return `${sender.type}-${sender.id}`;
}

async function takeTask(dataset: string, caller: Caller): Promise<Partial<MessageOf<"Task">>> {
  const worker = workerOf(caller);
  const beganAtMs = performance.now();
  const request = { dataset, worker, node: worker, request: "", waitMs: shardWaitMs };
  const leased = await caller.master.leaseShard(request, { deadlineMs: shardWaitMs + 5_000 });
  if (!leased.ok || leased.status === "done") return noTask;
  if (leased.status !== "shard") {
    if (performance.now() - beganAtMs < shardWaitMs / 2) return noTask; // It waits for itself.
    throw new Error(`others hold the last shards of ${dataset}: ask again`);
  }
  const { taskId, shard } = leased.task;
  return { task_id: taskId, shard: { name: dataset, start: shard.start, end: shard.end, indices: shard.indices ?? [] }, type: 1 };
}

export const datasetRows: readonly Row[] = [
  report("DatasetShardParams", async (fields, { master }) => {
    if (fields.dataset_size < 0) return true;
    return (await master.registerDataset(datasetOf(fields))).ok;
  }),
  get("TaskRequest", "Task", ({ dataset_name: dataset }, caller) => takeTask(dataset, caller)),
  report("TaskResult", async ({ dataset_name: dataset, task_id: taskId, err_message: message }, caller) => {
    await caller.master.finishShard({ dataset, taskId, worker: workerOf(caller), isOk: message === "", message });
    return message === "";
  }),
  get("ShardCheckpointRequest", "ShardCheckpoint", async ({ dataset_name: dataset }, { master }) => {
    const answer = await master.checkpointDataset(dataset);
    return { content: answer.ok ? namedCheckpoint(dataset, answer.content) : "" };
  }),
  report("ShardCheckpoint", async ({ content }, { master }) => {
    const checkpoint = datasetOfCheckpoint(content);
    return checkpoint !== null && (await master.restoreDataset(checkpoint, {})).ok;
  }),
  get("TrainingStatusRequest", "TrainingStatus", async (_fields, { master }) => {
    const { datasets } = await master.listDatasets();
    return { status: datasets.some(({ recordsDone }) => recordsDone > 0) ? 1 : 3 };
  }),
];
