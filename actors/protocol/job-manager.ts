/** What the Job Manager is told and asked. Requests of agents arrive decoded and validated by the Master Service. */

import type { NodeDesired } from "../../src/job/assignment.js";
import type { JobSpec, Role } from "../../src/job/job-spec.js";
import type { NodeLaunch } from "../../src/job/scale-plan.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

/** One rank as its agent sees it. */
export type RankReport = Readonly<{
  token: string;
  localRank: number;
  round: number;
  pid: number;
  state: "starting" | "running" | "exited";
  exitCode: number | null;
  signal: string | null;
  isOutOfMemory: boolean;
  /** Traceback (torchelastic's error file, else the tail of stderr), at most 16 KiB. */
  errorText: string;
  exitedAtMs: number | null;
}>;

/** What a host looks like to the agent on it, for the checks before training. */
export type HostFacts = Readonly<{
  host: string;
  address: string;
  cpus: number;
  memoryBytes: number;
  gpus: number;
  pythonVersion: string | null;
  /** Why the entry point cannot be run, or null. */
  entrypointProblem: string | null;
  diskFreeBytes: number;
  sharedMemoryBytes: number;
  openFilesMax: number;
  /** Wall clock of the host, for the skew. */
  clockMs: number;
  canBindPorts: boolean;
}>;

export type RankProgress = Readonly<{
  rank: number;
  localRank: number;
  round: number;
  step: number | null;
  loss: number | "nan" | "inf" | null;
  /** Samples since the rank started. */
  samples: number | null;
  /** Step of the last checkpoint that the rank says is saved. */
  checkpointStep: number | null;
  cpuCores: number;
  memoryBytes: number;
  /** When the newest step was reported, on the agent's clock. */
  atMs: number;
}>;

export type StaleAgent = Readonly<{ ok: false; code: "STALE_AGENT" | "UNKNOWN_NODE"; message: string }>;

export type NodeView = Readonly<{
  id: string;
  role: Role;
  nodeRank: number;
  host: string | null;
  agentPid: number | null;
  state: string;
  restarts: number;
  groupRank: number | null;
  lastHeartbeatMs: number | null;
}>;

export type RankView = Readonly<{
  rank: number;
  localRank: number;
  node: string;
  host: string | null;
  pid: number | null;
  /** The round in which this process was started. */
  incarnation: number;
  state: string;
  step: number | null;
  loss: number | "nan" | "inf" | null;
  samplesPerSecond: number | null;
  cpuCores: number | null;
  memoryBytes: number | null;
}>;

export type WorldView = Readonly<{
  round: number;
  worldSize: number;
  nodes: readonly NodeView[];
  ranks: readonly RankView[];
  restarts: number;
  relaunches: number;
  maxRestarts: number;
  step: number | null;
  samplesPerSecond: number | null;
  loss: number | "nan" | "inf" | null;
  /** Share of the time since the start that went into steps which no failure undid; null while no step is known. */
  goodput: number | null;
}>;

export type JobManagerMessage =
  // From the Master Orchestrator.
  | Tell<"start-nodes", { spec: JobSpec }>
  | Tell<"stop-nodes", { because: string; graceMs: number }>
  | Tell<"pause-nodes", { because: string }>
  | Tell<"resume-nodes">
  | Tell<"restart-ranks", { because: string; isCharged: boolean }>
  // From agents, by way of the Master Service. `agentId` names one life of an agent: a new one replaces the old.
  | Ask<
      "register-agent",
      { node: string; agentId: string; agentPid: number; facts: HostFacts; ranks: readonly RankReport[] },
      Readonly<{ ok: true; spec: JobSpec; role: Role; nodeRank: number; heartbeatIntervalMs: number }> | StaleAgent
    >
  | Ask<"join-round", { node: string; agentId: string; round: number; nproc: number; storeHost: string; storePort: number }, { ok: true } | StaleAgent>
  | Ask<"report-ranks", { node: string; agentId: string; ranks: readonly RankReport[] }, { ok: true } | StaleAgent>
  | Ask<"report-progress", { node: string; agentId: string; ranks: readonly RankProgress[] }, { ok: true } | StaleAgent>
  | Ask<"report-probe", { node: string; agentId: string; probe: string; text: string }, { ok: true } | StaleAgent>
  | Ask<"await-desired", { node: string; agentId: string; revision: number; waitMs: number }, { ok: true; desired: NodeDesired } | StaleAgent>
  | Tell<"agent-disconnected", { node: string; agentId: string }>
  // From the Scheduler: what became of a plan.
  | Tell<"node-launched", { node: string; host: string; address: string; pid: number }>
  | Tell<"node-unplaceable", { node: string; because: string; isForEver: boolean }>
  | Tell<"agent-exited", { node: string; because: string; isHostGone: boolean }>
  // From the Job Auto Scaler.
  | Tell<"resize-job", { nodes: readonly NodeLaunch[]; remove: readonly string[]; because: string }>
  // From the Diagnosis Master.
  | Tell<"collect-stacks", { probe: string; because: string }>
  | Tell<"facts-judged", { node: string; agentId: string; isFit: boolean; because: string }>
  // From the Master Service.
  | Ask<"get-world", object, WorldView>
  // From itself.
  | Tell<"round-deadline", { round: number }>
  | Tell<"check-heartbeats">
  | Tell<"poll-deadline", { node: string }>;
