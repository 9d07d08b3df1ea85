/** What the Diagnosis Master is told and asked. */

import type { WorldNode } from "../../src/job/diagnosis-world.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import type { Finding } from "../../src/job/finding.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";
import type { HostFacts, RankProgress } from "./job-manager.js";

export type DiagnosisMasterMessage =
  /** From the Master Orchestrator: the stage decides what is watched. */
  | Tell<"watch-job", { spec: JobSpec; isRunning: boolean }>
  /** From the Job Manager: facts of a host, as they were at `atMs`; answered with `facts-judged` to the Job Manager. */
  | Tell<"judge-facts", { node: string; agentId: string; facts: HostFacts; atMs: number }>
  /** From the Job Manager: a round runs, with the ranks of these nodes. */
  | Tell<"observe-world", { round: number; nodes: readonly WorldNode[] }>
  | Tell<"observe-progress", { node: string; ranks: readonly RankProgress[] }>
  /** From the Job Manager: an answer to `collect-stacks`; `isLast` once every live node has answered or timed out. */
  | Tell<"observe-stacks", { probe: string; node: string; text: string; isLast: boolean }>
  | Ask<"list-findings", object, { findings: readonly Finding[] }>
  | Tell<"look-around">
  | Tell<"stacks-deadline", { probe: string }>;
