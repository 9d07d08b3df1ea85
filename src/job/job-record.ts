/**
 * What the Job Manager knows of a job and must not forget. Plain data; changed by `applyJobEvent` only.
 *
 * - J1  Every live node is in exactly one group: the trainers (workers and chief) share one, a parameter server or an evaluator is a group of
 *       its own, so that its failure restarts nobody else.
 * - J2  `revision` of a node grows whenever what is desired of it changes, and never falls.
 * - J3  Bounds: `nodesMax` live nodes; `endedMax` nodes that have ended, the oldest forgotten first; `failuresMax` failures a round.
 */

import type { Budget } from "./budget.js";
import { type DlroverRecord, openDlroverRecord } from "./dlrover/dlrover-record.js";
import type { FormerFailure } from "./failure-verdict.js";
import type { Goodput } from "./goodput.js";
import type { HostFacts } from "./host-facts.js";
import type { JobSpec, Resources, Role } from "./job-spec.js";
import type { NodeState } from "./node-state.js";
import type { EndReason, RankFailure } from "./stage.js";

export const nodesMax = 10_000;
export const endedMax = 200;
export const failuresMax = 8;
export const errorTextMax = 16 * 1024;
export const probesMax = 4;

export type RankState = "assigned" | "starting" | "running" | "succeeded" | "failed" | "stopped";

export type RankRecord = {
  rank: number;
  localRank: number;
  pid: number | null;
  state: RankState;
  exitCode: number | null;
  signal: string | null;
};

/** What another node in the place of this one has to be told. */
export type Replacement = Readonly<{ because: string; isOutOfMemory: boolean; avoidHost: string | null }>;

export type NodeRecord = {
  readonly id: string;
  readonly role: Role;
  readonly nodeRank: number;
  readonly group: string;
  readonly resources: Resources;
  state: NodeState;
  host: string | null;
  address: string | null;
  agentPid: number | null;
  /** The life of its agent that is listened to; null before the first. */
  agentId: string | null;
  /** Lives that were replaced, the newest last; at most 4. */
  formerAgentIds: string[];
  /** An agent process was seen and has not been seen to end. */
  hasAgent: boolean;
  /** When agents of this node ended, the newest last; at most `agentEndsMax`. */
  agentEndedAtMs: number[];
  /** Its agent ended while this many ranks were believed to live; 0 once the next agent has registered. */
  ranksLeftAlone: number;
  isUnplaceable: boolean;
  facts: HostFacts | null;
  /** When they were told. */
  factsAtMs: number;
  /** How often ranks were started here again. */
  restarts: number;
  revision: number;
  /** By local rank, of the newest round in which the node has a place. */
  ranks: RankRecord[];
  /** Its agent (DLRover's) waits for a world that the node is in, and joins every round that is opened meanwhile. */
  wish: Join | null;
  /** Its agent (DLRover's) was told to go, or blames its host: another node is to take its place. */
  isToBeReplaced: boolean;
  /** Set while another node is to take its place and none has. */
  replacement: Replacement | null;
  because: string;
};

export const agentEndsMax = 10;

export type Join = Readonly<{ nproc: number; storeHost: string; storePort: number }>;
export type Member = Readonly<{ node: string; groupRank: number; firstRank: number; nproc: number }>;

export type RoundKind = "first" | "recovery" | "scaling" | "resume";

export type GroupRecord = {
  readonly id: string;
  /** Newest round, 0 before the first. Rounds are numbered through all groups. */
  round: number;
  phase: "idle" | "open" | "sealed" | "succeeded";
  kind: RoundKind;
  because: string;
  graceMs: number;
  /** Since when the round waits for its minimum, and since when it is there. */
  shortSinceMs: number;
  fitSinceMs: number | null;
  sealedAtMs: number;
  joins: Map<string, Join>;
  /** `joins`, counted. */
  joined: Map<Role, number>;
  /** Of the newest sealed round, in the order of group ranks. */
  members: Map<string, Member>;
  masterAddr: string;
  masterPort: number;
  worldSize: number;
  /** Ranks of the chief: they come first. */
  chiefRanks: number;
  /** Ranks of the sealed round that have not succeeded. */
  unfinished: number;
  /** Restarts that were charged when the newest round was sealed. */
  restartCount: number;
  /** Live nodes that are not fit yet and may become so. */
  pending: Set<string>;
  /** Live nodes that may yet join the open round. */
  awaited: Set<string>;
  /** Fit nodes without a place in the sealed round, and since when there are any. */
  standby: Set<string>;
  standbySinceMs: number;
  /** Failures of the round `failedRound`, at most `failuresMax`. */
  failures: RankFailure[];
  failedRound: number;
  /** The furthest step and the age of the world when it failed first in `failedRound`. */
  failedAt: Readonly<{ furthest: number | null; livedMs: number }>;
  /** The failure of a round before `failedRound`. */
  former: FormerFailure | null;
  /** An end that waits for a better cause. */
  verdict: Readonly<{ code: EndReason["code"]; because: string; dueAtMs: number }> | null;
};

export type ProbeRecord = { readonly id: string; readonly awaited: Set<string> };

export type JobRecord = {
  spec: JobSpec | null;
  /** 0, and one more each time that the job was taken up after its end. */
  attempt: number;
  mode: "idle" | "active" | "paused" | "stopping";
  /** Why the Job Manager thinks that the job is over; the Orchestrator decides. */
  end: EndReason | null;
  stop: { because: string; graceMs: number; sinceMs: number } | null;
  isGone: boolean;
  budget: Budget;
  goodput: Goodput;
  nodes: Map<string, NodeRecord>;
  /** Nodes with `hasAgent`. */
  agents: number;
  /** Ended nodes in the order of their end. */
  ended: string[];
  groups: Map<string, GroupRecord>;
  rounds: number;
  /** Grows with every change of a desired state. */
  revision: number;
  probes: ProbeRecord[];
  /** Plans that the Job Manager has made (restarts of agents), for their ids. */
  plans: number;
  /** The newest unfit host, for the reason when a job never begins. */
  unfit: string | null;
  /** What is DLRover's alone. */
  dlrover: DlroverRecord;
};

/** Its agent (DLRover's) has ended well and does not come back: it takes part in nothing any more. */
export function isFinished({ spec }: Pick<JobRecord, "spec">, node: Pick<NodeRecord, "state" | "hasAgent">): boolean {
  return spec?.agents.kind === "dlrover" && node.state === "succeeded" && !node.hasAgent;
}

export const trainers = "train";

export function groupOf(role: Role, node: string): string {
  return role === "worker" || role === "chief" ? trainers : node;
}

/** To write a node with its ranks (eight, say) takes about as long as to write so many events. */
const eventsANode = 16;

/** How large the record is, for its snapshots: about as many events are as large. */
export function sizeInEvents({ nodes, dlrover }: JobRecord): number {
  return eventsANode * nodes.size + dlrover.keys.size;
}

export function openRecord(): JobRecord {
  return {
    spec: null,
    attempt: 0,
    mode: "idle",
    end: null,
    stop: null,
    isGone: false,
    budget: { maxRestarts: 0, maxRelaunches: 0, restarts: 0, relaunches: 0 },
    goodput: { startedAtMs: 0, endedAtMs: null, segments: [], live: null, furthest: null },
    nodes: new Map(),
    agents: 0,
    ended: [],
    groups: new Map(),
    rounds: 0,
    revision: 0,
    probes: [],
    plans: 0,
    unfit: null,
    dlrover: openDlroverRecord(),
  };
}

export function openGroup(id: string, nowMs: number): GroupRecord {
  return {
    id,
    round: 0,
    phase: "idle",
    kind: "first",
    because: "",
    graceMs: 0,
    shortSinceMs: nowMs,
    fitSinceMs: null,
    sealedAtMs: 0,
    joins: new Map(),
    joined: new Map(),
    members: new Map(),
    masterAddr: "",
    masterPort: 0,
    worldSize: 0,
    chiefRanks: 0,
    unfinished: 0,
    restartCount: 0,
    pending: new Set(),
    awaited: new Set(),
    standby: new Set(),
    standbySinceMs: 0,
    failures: [],
    failedRound: 0,
    failedAt: { furthest: null, livedMs: 0 },
    former: null,
    verdict: null,
  };
}

