/** Where the eight components are reached, and the table of who is who. */

import { type ActorRef, actorRef } from "../../src/runtime/actor.js";
import type { JournalMessage } from "../../src/store/journal-messages.js";
import type { DiagnosisMasterMessage } from "./diagnosis-master.js";
import type { JobAutoScalerMessage } from "./job-auto-scaler.js";
import type { JobManagerMessage } from "./job-manager.js";
import type { MasterOrchestratorMessage } from "./master-orchestrator.js";
import type { MasterServiceMessage } from "./master-service.js";
import type { SchedulerMessage } from "./scheduler.js";
import type { TaskManagerMessage } from "./task-manager.js";

export const masterOrchestrator: ActorRef<MasterOrchestratorMessage> = actorRef("master-orchestrator");
export const masterService: ActorRef<MasterServiceMessage> = actorRef("master-service");
export const jobManager: ActorRef<JobManagerMessage> = actorRef("job-manager");
export const jobAutoScaler: ActorRef<JobAutoScalerMessage> = actorRef("job-auto-scaler");
export const taskManager: ActorRef<TaskManagerMessage> = actorRef("task-manager");
export const diagnosisMaster: ActorRef<DiagnosisMasterMessage> = actorRef("diagnosis-master");
export const scheduler: ActorRef<SchedulerMessage> = actorRef("scheduler");
export const stateBackend: ActorRef<JournalMessage> = actorRef("state-backend");
