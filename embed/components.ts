/** The eight components of a master as one supervision tree. */

import { diagnosisMaster } from "../actors/diagnosis-master.js";
import { jobAutoScaler } from "../actors/job-auto-scaler.js";
import { jobManager } from "../actors/job-manager.js";
import { masterOrchestrator } from "../actors/master-orchestrator.js";
import { masterService } from "../actors/master-service.js";
import * as refs from "../actors/protocol/refs.js";
import { scheduler } from "../actors/scheduler.js";
import { stateBackend } from "../actors/state-backend.js";
import { taskManager } from "../actors/task-manager.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { jobFiles } from "../src/launch/job-folder.js";
import type { ActorRef, Typed } from "../src/runtime/actor.js";
import type { AnyDefinition } from "../src/runtime/cell-host.js";
import type { ChildSpec, Placement, SupervisorSpec } from "../src/runtime/supervision.js";

export const stateBackendRef: ActorRef<Typed> = { id: "state-backend" };

export type ComponentOptions = Readonly<{
  spec: JobSpec;
  jobDir: string;
  /** Where the Master Service listens; port 0 takes a free one. */
  host: string;
  port: number;
  /** How often the master was started before; shown in the status. */
  restarts: number;
  placement: Placement;
}>;

/**
 * One-for-one: each component recovers by itself from its own history, and messages to it wait meanwhile. The Master Orchestrator owns the
 * others: it is told of each restart. Its own restart leaves them running (decision 0002).
 */
export function componentTree({ spec, jobDir, host, port, restarts, placement }: ComponentOptions): SupervisorSpec {
  const { state: path, token: tokenPath } = jobFiles(jobDir);
  const child = (id: string, definition: unknown, options: unknown): ChildSpec => {
    return { id, definition: definition as AnyDefinition, options, placement, heapMiB: 256 };
  };
  return {
    id: "master",
    strategy: "one-for-one",
    intensity: 20,
    periodMs: 60_000,
    notify: refs.masterOrchestrator as ActorRef<Typed>,
    children: [
      child(stateBackendRef.id, stateBackend, { path, durability: spec.durability, lockWaitMs: 5_000 }),
      child(refs.masterService.id, masterService, { host, port, tokenPath, statePath: path, restarts }),
      child(refs.scheduler.id, scheduler, {}),
      child(refs.jobManager.id, jobManager, {}),
      child(refs.jobAutoScaler.id, jobAutoScaler, {}),
      child(refs.taskManager.id, taskManager, {}),
      child(refs.diagnosisMaster.id, diagnosisMaster, {}),
      child(refs.masterOrchestrator.id, masterOrchestrator, { spec, jobDir, tokenPath }),
    ],
  };
}
