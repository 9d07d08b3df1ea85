/** What /metrics shows, in Prometheus' text format: requests, the job, the actors. */

import { Gauge, Histogram, Registry } from "prom-client";
import type { SystemInspection } from "../runtime/actor-system.js";
import { type Asker, ask } from "./asker.js";
import type { JobStatus } from "./job-status.js";
import { type Route, route } from "./route.js";

export class Metrics {
  readonly registry = new Registry();
  readonly #requests = new Histogram({
    name: "drover_http_request_seconds",
    help: "Duration of requests by route and status",
    labelNames: ["route", "status"],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30],
    registers: [this.registry],
  });
  readonly #stage = this.#gauge("drover_job_stage", "1 for the stage of the job", ["stage"]);
  readonly #paused = this.#gauge("drover_journal_paused", "1 while acknowledgements wait for the disk");
  readonly #world = this.#gauge("drover_world_size", "Ranks of the current world");
  readonly #restarts = this.#gauge("drover_restarts", "Restarts of ranks that the job has spent");
  readonly #step = this.#gauge("drover_step", "Newest step reported");
  readonly #rate = this.#gauge("drover_samples_per_second", "Samples a second over all ranks");
  readonly #goodput = this.#gauge("drover_goodput", "Share of the time that went into steps which no failure undid");
  readonly #depth = this.#gauge("drover_mailbox_depth", "Messages that wait", ["actor"]);
  readonly #waited = this.#gauge("drover_mailbox_wait_seconds", "How long the last batch waited", ["actor"]);
  readonly #received = this.#gauge("drover_messages_received", "Messages received since the actor's start", ["actor"]);
  readonly #actorRestarts = this.#gauge("drover_actor_restarts", "Restarts of the actor", ["actor"]);
  readonly #deadLetters = this.#gauge("drover_dead_letters", "Messages that found no one");

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  requestDone(route: string, status: number, ms: number): void {
    this.#requests.observe({ route, status }, ms / 1_000);
  }

  showStage(stage: string): void {
    this.#stage.reset();
    this.#stage.set({ stage }, 1);
  }

  showPause(isPaused: boolean): void {
    this.#paused.set(isPaused ? 1 : 0);
  }

  showWorld(world: Pick<JobStatus, "worldSize" | "restarts" | "step" | "samplesPerSecond" | "goodput">): void {
    this.#world.set(world.worldSize);
    this.#restarts.set(world.restarts);
    if (world.step !== null) this.#step.set(world.step);
    if (world.samplesPerSecond !== null) this.#rate.set(world.samplesPerSecond);
    if (world.goodput !== null) this.#goodput.set(world.goodput);
  }

  showRuntime({ actors, counters }: SystemInspection): void {
    for (const { id: actor, depth, waitedMs, received, restarts } of actors) {
      this.#depth.set({ actor }, depth);
      this.#waited.set({ actor }, waitedMs / 1_000);
      this.#received.set({ actor }, received);
      this.#actorRestarts.set({ actor }, restarts);
    }
    this.#deadLetters.set(counters.deadLetters);
  }
}

/** The actor of the main thread that knows all threads (embed/root-guardian.ts). */
const rootGuardian = { id: "root-guardian" };

export function metricsRoutes(asker: Asker, metrics: Metrics): Route[] {
  return [
    route({
      method: "GET",
      path: "/metrics",
      summary: "Prometheus metrics",
      handle: async ({ reply }) => {
        const [world, runtime] = await Promise.all([
          ask<JobStatus>(asker, "jobManager", { type: "get-world" }, { isIdempotent: true }),
          asker.ctx.ask(rootGuardian, { type: "inspect-runtime" }),
        ]);
        metrics.showWorld(world);
        metrics.showRuntime(runtime);
        void reply.type(metrics.registry.contentType);
        return metrics.registry.metrics();
      },
    }),
  ];
}
