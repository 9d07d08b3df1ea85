/**
 * The Master Service's hands: an HTTP server whose handlers ask the other actors.
 *
 * The refs of the components are given to it, for `src` does not know who plays which part.
 */

import { setTimeout as delay } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type { ActorPort, ActorRef, PortContext, Tell, Typed } from "../runtime/actor.js";
import { agentRoutes } from "./agent-routes.js";
import { datasetRoutes } from "./dataset-routes.js";
import { EventStreams, eventRoutes } from "./event-routes.js";
import { createHttpServer } from "./http-server.js";
import { jobRoutes } from "./job-routes.js";
import { Metrics, metricsRoutes } from "./metrics.js";
import { openApiRoute } from "./open-api.js";
import type { Route } from "./route.js";
import { tokenIn } from "./token.js";

export type ServiceOptions = Readonly<{
  /** Where to listen; 127.0.0.1 unless the user says otherwise. */
  host: string;
  /** 0 takes a free one. */
  port: number;
  tokenPath: string;
  /** The job's SQLite file, read for the history. */
  statePath: string;
  /** How often the master was started before. */
  restarts: number;
}>;

export type ServiceCommand =
  | Readonly<{ type: "show-stage"; stage: string }>
  | Readonly<{ type: "show-pause"; reason: string | null }>
  | Readonly<{ type: "wake-followers" }>;

/** Who plays which part. */
export type Parts = Readonly<
  Record<"masterOrchestrator" | "jobManager" | "jobAutoScaler" | "taskManager" | "diagnosisMaster", ActorRef<never>>
>;

/** How long a port may still be held by the thread or process that listened there before. */
const listenPatienceMs = 3_000;

/** Opens the server; resolves when it listens. Fails with `ADDRESS_IN_USE` when another program has the port. */
export async function openServicePort(
  options: ServiceOptions,
  ctx: PortContext<Tell<"listening", { host: string; port: number }>>,
  parts: unknown,
): Promise<ActorPort<ServiceCommand>> {
  const metrics = new Metrics();
  const streams = new EventStreams(options.statePath);
  const asker = { ctx: ctx as PortContext<Typed>, parts: parts as Parts };
  const master = { restarts: options.restarts, address: "" };
  const routes: Route[] = [
    ...agentRoutes(asker),
    ...datasetRoutes(asker),
    ...jobRoutes(asker, master),
    ...eventRoutes(streams),
    ...metricsRoutes(asker, metrics),
  ];
  routes.push(openApiRoute(routes));
  const app = await createHttpServer(routes, {
    token: tokenIn(options.tokenPath),
    onDone: (route, status, ms) => metrics.requestDone(route, status, ms),
    onDefect: (error, route) => ctx.log("error", "a request failed", { route, error: error.stack ?? error.message }),
  });
  const port = await listen(app, options.host, options.port);
  master.address = `${options.host}:${port}`;
  ctx.tell(ctx.self, { type: "listening", host: options.host, port });
  return {
    perform(command) {
      switch (command.type) {
        case "show-stage":
          { metrics.showStage(command.stage); return; }
        case "show-pause":
          { metrics.showPause(command.reason !== null); return; }
        case "wake-followers":
          { streams.wake(); return; }
      }
    },
    async close() {
      streams.close();
      await app.close();
    },
  };
}

async function listen(app: FastifyInstance, host: string, port: number): Promise<number> {
  const deadline = performance.now() + listenPatienceMs;
  for (;;) {
    try {
      await app.listen({ host, port });
      const address = app.server.address();
      return typeof address === "object" && address ? address.port : port;
    } catch (error) {
      const isHeld = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
      if (!isHeld || performance.now() > deadline) throw error;
      await delay(20);
    }
  }
}
