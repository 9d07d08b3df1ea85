/** What the Scheduler is told and asked. */

import type { JobSpec } from "../../src/job/job-spec.js";
import type { HostRecord, ScalePlan } from "../../src/job/scale-plan.js";
import type { LauncherReport } from "../../src/launch/launcher-port.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type PlacementView = Readonly<{ node: string; host: string | null; pid: number | null; state: string }>;

export type SchedulerMessage =
  /** From the Master Orchestrator, before any plan: what agents need to find their way back. Sent again after a restart. */
  | Tell<"open-hosts", { spec: JobSpec; masterAddress: string; tokenPath: string; jobDir: string }>
  /** From the Job Auto Scaler and the Job Manager. A plan id seen before is ignored. */
  | Tell<"apply-plan", { plan: ScalePlan }>
  /** From the Master Orchestrator: end every agent that is still there, and its ranks. Answered when none is left. */
  | Ask<"close-hosts", { isKill: boolean }, { ok: true }>
  | Ask<"get-placements", object, Readonly<{ hosts: readonly HostRecord[]; placements: readonly PlacementView[] }>>
  // From itself.
  | Tell<"retry-sweep">
  | Tell<"retry-end", { node: string }>
  // From its port.
  | LauncherReport;
