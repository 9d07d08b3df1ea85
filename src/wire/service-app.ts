/**
 * All that the Master Service answers: the routes, the server framework, the event streams, the metrics.
 *
 * It is loaded after the port is open (service-port.ts): these modules are most of what the start of a master has to load.
 */

import type { PauseReason } from "../store/journal-messages.js";
import { agentRoutes } from "./agent-routes.js";
import { datasetRoutes } from "./dataset-routes.js";
import type { DlroverWire } from "./dlrover/dlrover-wire.js";
import { eventRoutes } from "./event-routes.js";
import { EventStreams } from "./event-streams.js";
import type { FrontDoor } from "./front-door.js";
import { createHttpServer } from "./http-server.js";
import { jobRoutes } from "./job-routes.js";
import type { MasterCalls } from "./master-calls.js";
import { Metrics, metricsRoute } from "./metrics.js";
import { openApiRoute } from "./open-api.js";
import type { WireLimits } from "./wire-limits.js";

export type ServiceAppOptions = Readonly<{
  door: FrontDoor;
  calls: MasterCalls;
  limits: WireLimits;
  token: string;
  /** The job's SQLite file, read for the history. */
  statePath: string;
  restarts: number;
  address: () => string;
  pause: () => PauseReason | null;
  onDefect: (error: Error, route: string) => void;
  /** DLRover's wire, where the job's agents speak it. */
  dlrover: DlroverWire | null;
}>;

export type ServiceApp = Readonly<{ metrics: Metrics; streams: EventStreams; close: () => Promise<void> }>;

/** Answers from now on what comes through the door. */
export async function openServiceApp(options: ServiceAppOptions): Promise<ServiceApp> {
  const { door, calls, limits, token, statePath, restarts, address, pause, onDefect, dlrover } = options;
  const metrics = new Metrics();
  const streams = new EventStreams(statePath);
  const routes = [
    ...agentRoutes(calls),
    ...datasetRoutes(calls),
    ...jobRoutes(calls, () => ({ restarts, address: address(), dlrover: dlrover ? { misfits: dlrover.desk.misfits } : undefined })),
    ...eventRoutes(streams, onDefect),
    metricsRoute(calls, metrics, () => streams.count, dlrover?.desk ?? null),
  ];
  const onDone = (route: string, status: number, ms: number): void => metrics.requestDone(route, status, ms);
  const app = await createHttpServer([...routes, openApiRoute(routes)], { token, limits, pause, onDone, onDefect, ...(dlrover ? { before: dlrover.serve } : {}) }, door);
  const close = async (): Promise<void> => {
    streams.close();
    dlrover?.close();
    await app.close();
  };
  return { metrics, streams, close };
}
