/** What agents and the master say to each other: one schema a request, with the bounds of every field, and one an answer. */

import * as z from "zod";
import { jobName, list, loss, text, whole } from "./scalars.js";

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
  loss: loss.nullable(),
  samples: z.number().min(0).nullable(),
  checkpointStep: whole.nullable(),
  cpuCores: z.number().min(0),
  memoryBytes: z.number().min(0),
  atMs: z.number(),
});

export const progressBody = z.object({ agentId, ranks: z.array(rankProgress).max(ranksMax) });

export const probeBody = z.object({ agentId, probe: text(128), text: text(4_000_000) });

/** The desired state is answered when it has a later revision, else after `waitMs` (at most this many milliseconds). */
export const waitMsMax = 60_000;

export const desiredQuery = z.object({
  agentId,
  revision: z.coerce.number().int().min(-1).describe("the newest that the agent has; -1 for none"),
  waitMs: z.coerce.number().int().min(0).max(waitMsMax).default(20_000),
});

/** The answer that is no, which an agent reads as such: the status is 200. */
const refused = z.object({ ok: z.literal(false), code: z.string().describe("STALE_AGENT or UNKNOWN_NODE"), message: z.string() });

export const doneAnswer = z.union([z.object({ ok: z.literal(true) }), refused]);

export const registerAnswer = z.union([
  z.object({
    ok: z.literal(true),
    spec: z.record(z.string(), z.unknown()).describe("JobSpec of src/job/job-spec.ts"),
    role: z.enum(["worker", "chief", "ps", "evaluator"]),
    nodeRank: whole,
    heartbeatIntervalMs: whole.describe("the longest wait of a poll"),
  }),
  refused,
]);

const assignment = z.object({
  round: whole,
  groupRank: whole,
  groupWorldSize: whole,
  firstRank: whole,
  nproc: whole,
  worldSize: whole,
  roleFirstRank: whole,
  roleWorldSize: whole,
  masterAddr: z.string(),
  masterPort: whole,
  restartCount: whole,
});

export const desiredAnswer = z.union([
  z.object({
    ok: z.literal(true),
    desired: z.object({
      revision: whole,
      phase: z.enum(["wait", "join", "run", "stop", "exit"]),
      round: whole,
      assignment: assignment.nullable(),
      graceMs: z.number(),
      probes: list(z.object({ id: z.string(), kind: z.literal("stacks") })),
    }),
  }),
  refused,
]);
