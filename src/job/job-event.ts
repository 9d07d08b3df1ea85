/** What has happened to a job, as the Job Manager writes it down. `drover events` shows these: each says who, where and why. */

import type { DlroverEvent } from "./dlrover/dlrover-event.js";
import type { HostFacts } from "./host-facts.js";
import type { Member, Replacement, RoundKind } from "./job-record.js";
import type { JobSpec, Resources, Role } from "./job-spec.js";
import type { EndReason, RankFailure } from "./stage.js";

type Fact<Type extends string, Fields extends object> = Readonly<{ type: Type } & Fields>;

/** Who and where, for people. */
type At = Readonly<{ node: string; host: string | null }>;

export type RankStart = Readonly<{ rank: number; localRank: number; pid: number; state: "starting" | "running" }>;

export type JobEvent =
  | DlroverEvent
  | Fact<"job-begun", { spec: JobSpec; atMs: number }>
  /** It had ended, and a person takes it up: other nodes, a fresh budget; rounds and ids go on. */
  | Fact<"job-begun-again", { spec: JobSpec; attempt: number; because: string; atMs: number }>
  | Fact<"node-planned", { node: string; role: Role; nodeRank: number; resources: Resources; because: string; atMs: number }>
  | Fact<"node-launched", At & { address: string; pid: number }>
  | Fact<"node-unplaceable", { node: string; because: string }>
  | Fact<"agent-registered", At & { agentId: string; agentPid: number; facts: HostFacts; atMs: number }>
  | Fact<"node-found-fit", At & { because: string; atMs: number }>
  | Fact<"agent-ended", At & { because: string; isRestarted: boolean; plan: string; atMs: number }>
  /** Its agent (DLRover's) had ended well, and is started again: a world that starts again cannot be made without the node. */
  | Fact<"agent-called-back", At & { plan: string; because: string; atMs: number }>
  /** The agent and every rank of a node died together and it was taken up again in place. */
  | Fact<"node-emptied", At & { because: string; isCharged: boolean }>
  | Fact<"node-ended", At & { state: "failed" | "lost" | "stopped"; because: string; isUnfit: boolean; replacement: Replacement | null; atMs: number }>
  | Fact<"round-opened", { group: string; round: number; kind: RoundKind; because: string; isCharged: boolean; graceMs: number; atMs: number }>
  /** Agents say how many nodes a world takes; the newest word counts. */
  | Fact<"rendezvous-set", { min: number; max: number; unit: number; lastCallMs: number; joinTimeoutMs: number; because: string; atMs: number }>
  /** Its agent (DLRover's) waits from now on for a world that it is in: the node is fit. */
  | Fact<"world-asked", At & { nproc: number; address: string; atMs: number }>
  | Fact<"replacement-called-for", At & { because: string }>
  | Fact<"node-joined", At & { group: string; round: number; nproc: number; storeHost: string; storePort: number; atMs: number }>
  /** It can take part, but the round runs without it. */
  | Fact<"node-stands-by", At & { group: string; because: string; atMs: number }>
  | Fact<
      "round-sealed",
      { group: string; round: number; members: readonly Member[]; worldSize: number; masterAddr: string; masterPort: number; because: string; atMs: number }
    >
  | Fact<"ranks-started", At & { group: string; round: number; ranks: readonly RankStart[] }>
  /** Its agent (DLRover's) was told the world: all of its ranks begin. Their pids it does not say. */
  | Fact<"world-taken", At & { group: string; round: number }>
  | Fact<"rank-succeeded", At & { group: string; round: number; rank: number; localRank: number }>
  | Fact<"rank-stopped", At & { group: string; round: number; rank: number; localRank: number; exitCode: number | null; signal: string | null }>
  /** `isLate`: the round was already over when this was heard. */
  | Fact<
      "rank-failed",
      At & { group: string; round: number; failure: RankFailure; isLate: boolean; furthest: number | null; livedMs: number; because: string }
    >
  | Fact<"world-succeeded", { group: string; round: number; because: string }>
  | Fact<"verdict-deferred", { group: string; code: EndReason["code"]; because: string; dueAtMs: number }>
  | Fact<"verdict-dropped", { group: string; because: string }>
  | Fact<"nodes-paused", { because: string }>
  | Fact<"nodes-resumed", { because: string }>
  | Fact<"job-over", { reason: EndReason; atMs: number }>
  | Fact<"nodes-stopping", { because: string; graceMs: number; atMs: number }>
  | Fact<"nodes-gone", { because: string }>
  | Fact<"stacks-asked", { probe: string; because: string; nodes: readonly string[] }>
  | Fact<"stacks-answered", { probe: string; node: string }>
  | Fact<"step-noted", { group: string; round: number; step: number; atMs: number }>;
