/** What a person or a program sees of a job's nodes and ranks. */

import type { Role } from "./job-spec.js";

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
