/** How the job's history is asked for, and shown. */

import * as z from "zod";
import { list, whole } from "./scalars.js";

const names = z
  .string()
  .max(4_096)
  .default("")
  .transform((list) => list.split(",").filter((name) => name !== ""));

const afterQuery = {
  after: z.coerce.number().int().min(0).max(Number.MAX_SAFE_INTEGER).default(0).describe("events behind this commitSeq"),
  actor: z.string().max(128).default("").describe("only events of this actor"),
  type: names.describe("only events of these types, separated by commas, at most 32"),
};

export const eventsQuery = z.object({
  ...afterQuery,
  limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
  newest: z.enum(["true", "false"]).default("false").describe("newest first instead of oldest first"),
});

export const streamQuery = z.object(afterQuery);

const cause = z.object({
  message: z.string(),
  from: z.string().optional(),
  event: z.object({ actor: z.string(), seq: whole }).optional(),
});

const event = z.object({
  commitSeq: whole.describe("position in the history of the job"),
  actor: z.string(),
  seq: whole,
  atMs: z.number(),
  type: z.string(),
  event: z.looseObject({ type: z.string() }).nullable().describe("null: the row is damaged"),
  isIntact: z.boolean(),
  cause: cause.optional(),
});

export const eventsAnswer = z.object({ events: list(event) });
export const streamAnswer = z.string().describe("server-sent events: id is the commitSeq, event the type, data one event as JSON");
