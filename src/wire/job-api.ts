/** What people and programs ask of the job, as it arrives. */

import { z } from "zod";
import { text } from "./scalars.js";

const because = text(1_024);

export const stopBody = z.object({ because: because.default("stopped by a person"), kill: z.boolean().default(false) });
export const pauseBody = z.object({ because: because.default("paused by a person") });
export const scaleBody = z.object({ nodes: z.number().int().min(1).max(10_000), because: because.default("asked by a person") });

const names = z
  .string()
  .max(4_096)
  .default("")
  .transform((list) => list.split(",").filter((name) => name !== ""));

export const eventsQuery = z.object({
  after: z.coerce.number().int().min(0).default(0).describe("events behind this commitSeq"),
  limit: z.coerce.number().int().min(1).max(10_000).default(1_000),
  newest: z.enum(["true", "false"]).default("false").describe("newest first instead of oldest first"),
  actor: z.string().max(128).default(""),
  type: names.describe("types of events, separated by commas"),
});
