/** Where the eight components are reached, and the table of who is who. */

import { actorRef } from "../../src/runtime/actor.js";
import type { DiagnosisMasterMessage } from "./diagnosis-master.js";
import type { JobAutoScalerMessage } from "./job-auto-scaler.js";
import type { JobManagerMessage } from "./job-manager.js";
import type { MasterOrchestratorMessage } from "./master-orchestrator.js";
import type { MasterServiceMessage } from "./master-service.js";
import type { SchedulerMessage } from "./scheduler.js";
import type { TaskManagerMessage } from "./task-manager.js";

export const masterOrchestrator = actorRef<MasterOrchestratorMessage>("master-orchestrator");
export const masterService = actorRef<MasterServiceMessage>("master-service");
export const jobManager = actorRef<JobManagerMessage>("job-manager");
export const jobAutoScaler = actorRef<JobAutoScalerMessage>("job-auto-scaler");
export const taskManager = actorRef<TaskManagerMessage>("task-manager");
export const diagnosisMaster = actorRef<DiagnosisMasterMessage>("diagnosis-master");
export const scheduler = actorRef<SchedulerMessage>("scheduler");
