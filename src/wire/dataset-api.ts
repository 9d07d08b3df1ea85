/** What clients say of data sets, and are answered. Whether a data set can be so is the Task Manager's to say. */

import * as z from "zod";
import { jobName, list, text, whole } from "./scalars.js";

export const datasetParams = z.object({ name: jobName.describe("name of the data set") });
export const taskParams = datasetParams.extend({ taskId: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER) });

export const datasetBody = z.object({
  name: jobName,
  kind: z.enum(["table", "text", "stream"]).default("table"),
  size: whole,
  shardSize: whole.min(1).max(1_000_000),
  epochs: whole.min(1).max(1_000_000).default(1),
  shuffle: z.boolean().default(false),
  seed: z.number().int().default(0),
  timeoutMs: whole.max(7 * 86_400_000).default(1_800_000),
});

export const leaseBody = z.object({
  worker: text(256).min(1).describe("who holds the shard: node/rank/incarnation"),
  node: text(128).default(""),
  request: text(128).default("").describe("the same request again gets the same shard"),
  waitMs: whole.max(60_000).default(10_000),
});

export const taskBody = z.object({ worker: text(256).min(1), ok: z.boolean(), message: text(16_384).default("") });
export const checkpointBody = z.object({ content: z.string().describe("what GET gave") });
export const extendBody = z.object({ size: whole, isEnd: z.boolean().default(false) });

export const registeredAnswer = z.object({ ok: z.literal(true), isNew: z.boolean() });
export const okAnswer = z.object({ ok: z.literal(true) });
export const checkpointAnswer = z.object({ ok: z.literal(true), content: z.string() });

const shard = z.object({
  start: whole.describe("first record"),
  end: whole.describe("behind the last record"),
  indices: list(whole).nullable().describe("of a text: the records, in their order"),
});

export const leaseAnswer = z.union([
  z.object({ ok: z.literal(true), status: z.literal("shard"), task: z.object({ taskId: whole, epoch: whole, shard }) }),
  z.object({ ok: z.literal(true), status: z.enum(["wait", "done"]) }),
]);

export const datasetsAnswer = z.object({
  datasets: list(
    z.object({
      name: z.string(),
      kind: z.enum(["table", "text", "stream"]),
      size: whole,
      shardSize: whole,
      epoch: whole.describe("the newest of which a shard was given out, from 0"),
      epochs: whole,
      todo: whole.describe("shards, over all epochs"),
      doing: whole,
      done: whole,
      recordsDone: whole,
      failures: whole,
    }),
  ),
});
