/** The eight components of a master as one supervision tree. */

import * as refs from "../actors/protocol/refs.js";
import { builtModule } from "../src/base/built-file.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { jobFiles } from "../src/launch/job-folder.js";
import type { InheritedSocket } from "../src/launch/held-port.js";
import type { ActorRef, Typed } from "../src/runtime/actor.js";
import type { ChildSpec, Placement, SupervisorSpec } from "../src/runtime/supervision.js";

export const stateBackendRef: ActorRef<Typed> = { id: "state-backend" };

export type ComponentOptions = Readonly<{
  spec: JobSpec;
  jobDir: string;
  /** Where the Master Service listens; port 0 takes a free one. */
  host: string;
  port: number;
  /** A socket that listens there already. */
  socket: InheritedSocket | null;
  /** How often the master was started before; shown in the status. */
  restarts: number;
  placement: Placement;
}>;

/**
 * One-for-one: each component recovers by itself from its own history, and messages to it wait meanwhile. The Master Orchestrator owns the
 * others: it is told of each restart. Its own restart leaves them running (decision 0002).
 */
export function componentTree({ spec, jobDir, host, port, socket, restarts, placement }: ComponentOptions): SupervisorSpec {
  const { state: path, token: tokenPath } = jobFiles(jobDir);
  const child = (id: string, options: unknown): ChildSpec => ({ ...component(id, placement), options });
  return {
    id: "master",
    strategy: "one-for-one",
    intensity: 20,
    periodMs: 60_000,
    notify: refs.masterOrchestrator as ActorRef<Typed>,
    children: [
      child(stateBackendRef.id, { path, durability: spec.durability, lockWaitMs: 5_000 }),
      child(refs.masterService.id, { host, port, socket, tokenPath, statePath: path, restarts, agents: spec.agents }),
      child(refs.scheduler.id, {}),
      child(refs.jobManager.id, {}),
      child(refs.jobAutoScaler.id, {}),
      child(refs.taskManager.id, {}),
      child(refs.diagnosisMaster.id, {}),
      child(refs.masterOrchestrator.id, { spec, jobDir, tokenPath }),
    ],
  };
}

/** Where each component lives, before it is known for which job. */
export const componentPlaces: readonly ChildSpec[] = [
  refs.masterService, // The longest to load.
  stateBackendRef,
  refs.scheduler,
  refs.jobManager,
  refs.jobAutoScaler,
  refs.taskManager,
  refs.diagnosisMaster,
  refs.masterOrchestrator,
].map(({ id }) => component(id, "thread"));

/** Named by its module, which only the thread that runs it loads. */
function component(id: string, placement: Placement): ChildSpec {
  const definition = { module: builtModule(`actors/${id}.js`).href, name: id };
  return { id, definition, placement, heapMiB: 256 };
}
