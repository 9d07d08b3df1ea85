/** What the Scheduler is told and asked. */

import type { JobSpec } from "../../src/job/job-spec.js";
import type { HostRecord, ScalePlan } from "../../src/job/scale-plan.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type PlacementView = Readonly<{ node: string; host: string; pid: number | null; state: string }>;

export type SchedulerMessage =
  /** From the Master Orchestrator, once, before any plan: what agents need to find their way back. Sent again after a restart. */
  | Tell<"open-hosts", { spec: JobSpec; masterAddress: string; tokenPath: string; jobDir: string }>
  /** From the Job Auto Scaler and the Job Manager. A plan id seen before is ignored. */
  | Tell<"apply-plan", { plan: ScalePlan }>
  /** From the Master Orchestrator: end every agent that is still there, and its ranks. Answered when none is left. */
  | Ask<"close-hosts", { isKill: boolean }, { ok: true }>
  | Ask<"get-placements", object, Readonly<{ hosts: readonly HostRecord[]; placements: readonly PlacementView[] }>>
  // From its launchers.
  | Tell<"agent-started", { node: string; pid: number; startTime: string }>
  | Tell<"agent-start-failed", { node: string; because: string }>
  | Tell<"agent-ended", { node: string; pid: number; because: string; isHostGone: boolean }>
  | Tell<"hosts-changed", { hosts: readonly HostRecord[] }>;
