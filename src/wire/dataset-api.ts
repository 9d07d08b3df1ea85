/** What clients say of data sets, as it arrives. */

import { z } from "zod";
import { jobName, text, whole } from "./scalars.js";

export const datasetParams = z.object({ name: jobName.describe("name of the data set") });
export const taskParams = datasetParams.extend({ taskId: z.coerce.number().int().min(0) });

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
export const checkpointBody = z.object({ content: z.string() });
export const extendBody = z.object({ size: whole, isEnd: z.boolean().default(false) });
