/** What people and programs ask of the job, and are answered. */

import * as z from "zod";
import { list, loss, text, whole } from "./scalars.js";

const because = text(1_024).describe("said in the history");

export const stopBody = z.object({ because: because.default("stopped by a person"), kill: z.boolean().default(false) });
export const pauseBody = z.object({ because: because.default("paused by a person") });
export const scaleBody = z.object({ nodes: z.number().int().min(1).max(10_000), because: because.default("asked by a person") });

export const actionBody = z.object({
  action: z.enum(["restart", "relaunch", "event"]).describe("restart: its ranks; relaunch: its agent ends, another takes its place; event: its agent reports an event"),
  because: because.default("asked by a person"),
});

export const scaleAnswer = z.object({ ok: z.literal(true), from: whole, to: whole });

const failure = z.object({
  rank: whole,
  localRank: whole,
  node: z.string(),
  host: z.string(),
  reason: z.enum(["success", "user-error", "killed", "out-of-memory", "hardware", "lost-heartbeat", "stopped"]),
  exitCode: z.number().nullable(),
  signal: z.string().nullable(),
  message: z.string().describe("exception or last lines of stderr"),
  atMs: z.number(),
});

const endReason = z.object({
  code: z.enum([
    "ALL_SUCCEEDED",
    "RANK_FAILED",
    "RESTARTS_SPENT",
    "STOPPED_BY_USER",
    "TOO_FEW_NODES",
    "PRECHECK_FAILED",
    "CANNOT_PLACE",
    "NAN_LOSS",
    "HANG",
  ]),
  message: z.string(),
  failure: failure.optional().describe("the rank that ended the job"),
});

const node = z.object({
  id: z.string(),
  role: z.enum(["worker", "chief", "ps", "evaluator"]),
  nodeRank: whole,
  host: z.string().nullable(),
  agentPid: whole.nullable(),
  state: z.string(),
  restarts: whole,
  groupRank: whole.nullable(),
  lastHeartbeatMs: z.number().nullable(),
  cpuCores: z.number().nullable().describe("in use: of the host, where an agent of DLRover's says so, else of the node's ranks"),
  memoryBytes: z.number().nullable(),
  gpus: list(z.object({ index: z.number(), totalMib: z.number(), usedMib: z.number(), utilization: z.number().describe("percent") })),
});

const rank = z.object({
  rank: whole,
  localRank: whole,
  node: z.string(),
  host: z.string().nullable(),
  pid: whole.nullable(),
  incarnation: whole.describe("the round in which this process was started"),
  state: z.string(),
  step: whole.nullable(),
  loss: loss.nullable(),
  samplesPerSecond: z.number().nullable(),
  cpuCores: z.number().nullable(),
  memoryBytes: z.number().nullable(),
});

const stages = [
  "created",
  "precheck",
  "rendezvous",
  "running",
  "recovering",
  "scaling",
  "paused",
  "stopping",
  "succeeded",
  "failed",
  "stopped",
] as const;

export const stage = z.enum(stages);

export const jobAnswer = z.object({
  job: z.string(),
  stage,
  reason: endReason.nullable().describe("why it ended"),
  createdAtMs: z.number(),
  endedAtMs: z.number().nullable(),
  master: z.object({ pid: whole.nullable(), address: z.string().nullable(), restarts: whole }),
  dlrover: z
    .object({ misfits: list(z.object({ kind: z.enum(["undecodable", "unknown", "wrong-method"]), cls: z.string(), count: whole })) })
    .optional()
    .describe("messages of DLRover's agents that were answered neutrally, since the start of this master"),
  round: whole,
  worldSize: whole,
  nodes: list(node),
  ranks: list(rank),
  restarts: whole.describe("that the job has spent"),
  relaunches: whole,
  maxRestarts: whole,
  step: whole.nullable(),
  samplesPerSecond: z.number().nullable(),
  loss: loss.nullable(),
  goodput: z.number().min(0).max(1).nullable().describe("share of the time since the start that went into steps which no failure undid"),
});

export const findingsAnswer = z.object({
  findings: list(
    z.object({
      id: z.string(),
      kind: z.enum(["precheck-failed", "precheck-warning", "hang", "straggler", "nan-loss", "known-log-line"]),
      summary: z.string(),
      node: z.string().nullable(),
      rank: whole.nullable(),
      evidence: z.string(),
      action: z.enum(["none", "restart-ranks", "end-job"]),
      atMs: z.number(),
    }),
  ),
});

export const healthAnswer = z.object({ ok: z.literal(true) });
export const readyAnswer = z.object({ ok: z.literal(true), stage });
