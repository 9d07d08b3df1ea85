/** Drover inside one's own program: a job (`startJob`), or the actor runtime alone (`ActorSystem`). */

export { type Job, type StartJobOptions, startJob } from "./embed/start-job.js";
export type { JobView } from "./actors/protocol/master-orchestrator.js";
export type { JobSpec, Resources, Role } from "./src/job/job-spec.js";
export { type JobInput, type RoleInput, resolveSpec } from "./src/job/resolve-spec.js";
export type { EndReason, RankFailure, Stage } from "./src/job/stage.js";
export type { HistoryEvent } from "./src/store/journal-messages.js";
export { BoundaryError } from "./src/base/errors.js";
export { ActorSystem, type BoundRef, type SystemInspection, type SystemOptions } from "./src/runtime/actor-system.js";
export { AskError } from "./src/runtime/ask-error.js";
export {
  type ActorContext,
  type ActorDefinition,
  type ActorPort,
  type ActorRef,
  type Ask,
  type AskOptions,
  type ExitReason,
  type PortContext,
  type Tell,
  actorRef,
  defineActor,
} from "./src/runtime/actor.js";
export type { ChildSpec, SupervisorSpec } from "./src/runtime/supervision.js";
export type { Journal } from "./src/store/journal.js";
export { MemoryJournal } from "./src/store/memory-journal.js";
export { SqliteJournal } from "./src/store/sqlite-journal.js";
