/** What agents say to the master, as it arrives: one schema a request, with the bounds of every field. */

import { z } from "zod";
import { jobName, text, whole } from "./scalars.js";

/** Ranks of one node, at most. */
const ranksMax = 1_024;

export const nodeParams = z.object({ node: jobName.describe("id of the node") });

const rankReport = z.object({
  token: text(512),
  localRank: whole.max(ranksMax),
  round: whole,
  pid: whole,
  state: z.enum(["starting", "running", "exited"]),
  exitCode: z.number().int().nullable(),
  signal: text(32).nullable(),
  isOutOfMemory: z.boolean(),
  errorText: text(65_536).describe("traceback or end of stderr"),
  exitedAtMs: z.number().nullable(),
});

const hostFacts = z.object({
  host: text(255),
  address: text(255),
  cpus: z.number().min(0),
  memoryBytes: z.number().min(0),
  gpus: whole,
  pythonVersion: text(255).nullable(),
  entrypointProblem: text(4_096).nullable(),
  diskFreeBytes: z.number().min(0),
  sharedMemoryBytes: z.number().min(0),
  openFilesMax: z.number().min(0),
  clockMs: z.number(),
  canBindPorts: z.boolean(),
});

const agentId = text(128).describe("names one life of the agent");

export const registerBody = z.object({ agentId, agentPid: whole, facts: hostFacts, ranks: z.array(rankReport).max(ranksMax) });

export const joinBody = z.object({
  agentId,
  round: whole,
  nproc: whole.min(1).max(ranksMax),
  storeHost: text(255),
  storePort: whole.min(1).max(65_535),
});

export const ranksBody = z.object({ agentId, ranks: z.array(rankReport).max(ranksMax) });

const rankProgress = z.object({
  rank: whole,
  localRank: whole.max(ranksMax),
  round: whole,
  step: whole.nullable(),
  loss: z.union([z.number(), z.literal("nan"), z.literal("inf")]).nullable(),
  samples: z.number().min(0).nullable(),
  checkpointStep: whole.nullable(),
  cpuCores: z.number().min(0),
  memoryBytes: z.number().min(0),
  atMs: z.number(),
});

export const progressBody = z.object({ agentId, ranks: z.array(rankProgress).max(ranksMax) });

export const probeBody = z.object({ agentId, probe: text(128), text: text(1_000_000) });

/** The desired state is answered when it has a later revision, else after `waitMs` (at most this many milliseconds). */
export const waitMsMax = 60_000;

export const desiredQuery = z.object({
  agentId,
  revision: z.coerce.number().int().min(0),
  waitMs: z.coerce.number().int().min(0).max(waitMsMax).default(20_000),
});
