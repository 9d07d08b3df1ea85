/** What a person or a program sees of a job's nodes and ranks. */

import type { WorldNode } from "./diagnosis-world.js";
import { goodputOf } from "./goodput.js";
import { type GroupRecord, type JobRecord, type NodeRecord, trainers } from "./job-record.js";
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
  /** Cores in use: of the host, where an agent of DLRover's says so, else of the node's ranks. */
  cpuCores: number | null;
  memoryBytes: number | null;
  /** Where an agent of DLRover's tells of them. */
  gpus: readonly GpuUse[];
}>;

/** `utilization` in percent, as nvidia-smi has it. */
export type GpuUse = Readonly<{ index: number; totalMib: number; usedMib: number; utilization: number }>;

/** What a node uses of its host. */
export type NodeUse = Readonly<{ cpuCores: number; memoryBytes: number; gpus: readonly GpuUse[] }>;

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

/** What was last heard of a node and its ranks; kept apart from the record, for it need not survive. */
export type Gauges = Readonly<{
  heardAtMs(node: string): number | null;
  isSuspect(node: string): boolean;
  /** What the node's agent said of it, not of its ranks. */
  useOf(node: string): NodeUse | null;
  rankOf(node: string, localRank: number, round: number): RankGauge | null;
}>;

export type RankGauge = Readonly<{
  step: number | null;
  loss: RankView["loss"];
  samplesPerSecond: number | null;
  cpuCores: number;
  memoryBytes: number;
}>;

/** The job as it is now. `suspect` is a running node whose agent is not to be heard; it is no state of its own. */
export function viewWorld(job: JobRecord, gauges: Gauges, nowMs: number): WorldView {
  const main = job.groups.get(trainers);
  const ranks = [...job.groups.values()].flatMap((group) => ranksOf(job, group, gauges));
  const losses = ranks.flatMap((rank) => rank.loss ?? []);
  return {
    round: main?.round ?? 0,
    worldSize: main?.worldSize ?? 0,
    nodes: [...job.nodes.values()].map((node) => viewNode(job, node, gauges)),
    ranks,
    restarts: job.budget.restarts,
    relaunches: job.budget.relaunches,
    maxRestarts: job.budget.maxRestarts,
    step: newestStep(job, ranks),
    samplesPerSecond: samplesPerSecondOf(job, gauges),
    loss: losses[0] ?? null,
    goodput: goodputOf(job.goodput, nowMs),
  };
}

/** Of all ranks together; null while none tells. */
export function samplesPerSecondOf(job: JobRecord, gauges: Gauges): number | null {
  let sum: number | null = null;
  for (const group of job.groups.values()) {
    for (const id of group.members.keys()) {
      for (const { samplesPerSecond } of gaugesOf(job, id, gauges)) if (samplesPerSecond !== null) sum = (sum ?? 0) + samplesPerSecond;
    }
  }
  return sum;
}

/** What the ranks of a node in its group's world last told. */
function gaugesOf(job: JobRecord, id: string, gauges: Gauges): RankGauge[] {
  const node = job.nodes.get(id);
  const group = node ? job.groups.get(node.group) : undefined;
  if (!node || !group?.members.has(id)) return [];
  return node.ranks.flatMap(({ localRank }) => gauges.rankOf(id, localRank, group.round) ?? []);
}

function newestStep(job: JobRecord, ranks: readonly RankView[]): number | null {
  let newest = job.goodput.live?.last ?? job.goodput.segments.at(-1)?.last ?? null;
  for (const { step } of ranks) if (step !== null && (newest === null || step > newest)) newest = step;
  return newest;
}

function viewNode(job: JobRecord, node: NodeRecord, gauges: Gauges): NodeView {
  const group = job.groups.get(node.group);
  const isSuspect = node.state === "running" && job.mode !== "stopping" && (!node.hasAgent || gauges.isSuspect(node.id));
  return {
    id: node.id,
    role: node.role,
    nodeRank: node.nodeRank,
    host: node.host,
    agentPid: node.agentPid,
    state: isSuspect ? "suspect" : node.state,
    restarts: node.restarts,
    groupRank: (group?.phase === "sealed" ? group.members.get(node.id)?.groupRank : null) ?? null,
    lastHeartbeatMs: gauges.heardAtMs(node.id),
    ...(gauges.useOf(node.id) ?? useOfRanks(gaugesOf(job, node.id, gauges))),
  };
}

function useOfRanks(ranks: readonly RankGauge[]): Pick<NodeView, "cpuCores" | "memoryBytes" | "gpus"> {
  if (ranks.length === 0) return { cpuCores: null, memoryBytes: null, gpus: [] };
  const sum = (part: (rank: RankGauge) => number): number => ranks.reduce((total, rank) => total + part(rank), 0);
  return { cpuCores: sum((rank) => rank.cpuCores), memoryBytes: sum((rank) => rank.memoryBytes), gpus: [] };
}

function ranksOf(job: JobRecord, group: GroupRecord, gauges: Gauges): RankView[] {
  return [...group.members.keys()].flatMap((id) => {
    const node = job.nodes.get(id);
    if (!node) return [];
    return node.ranks.map(({ rank, localRank, pid, state }): RankView => {
      const gauge = gauges.rankOf(id, localRank, group.round);
      return {
        rank,
        localRank,
        node: id,
        host: node.host,
        pid,
        incarnation: group.round,
        state,
        step: gauge?.step ?? null,
        loss: gauge?.loss ?? null,
        samplesPerSecond: gauge?.samplesPerSecond ?? null,
        cpuCores: gauge?.cpuCores ?? null,
        memoryBytes: gauge?.memoryBytes ?? null,
      };
    });
  });
}

/** Who is in the world of the group, in the order of ranks. */
export function worldNodesOf(group: GroupRecord): WorldNode[] {
  return [...group.members.values()].map(({ node, nproc }) => ({ node, ranks: nproc }));
}
