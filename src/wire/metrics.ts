/**
 * What /metrics shows, in Prometheus' text format: requests, the job, the journal, the actors.
 *
 * Own registry: an embedder's metrics are not touched. What is asked of others for a scrape is left out when they do not answer in time, and
 * counted in `drover_scrape_failures_total`.
 */

import { Counter, Gauge, Histogram, Registry } from "prom-client";
import * as z from "zod";
import type { WorldView } from "../job/world-view.js";
import type { StoreInspection } from "../store/journal-messages.js";
import type { DlroverDesk } from "./dlrover/dlrover-desk.js";
import type { CallOptions, MasterCalls, RuntimeState } from "./master-calls.js";
import { type Route, route } from "./route.js";

const askedWithin: CallOptions = { deadlineMs: 2_000 };

export class Metrics {
  readonly registry = new Registry();
  readonly #requests = new Histogram({
    name: "drover_http_request_seconds",
    help: "Duration of requests by route and status; long polls included",
    labelNames: ["route", "status"],
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 30],
    registers: [this.registry],
  });
  readonly #scrapeFailures = this.#counter("drover_scrape_failures_total", "Parts of a scrape that were not answered in time", ["part"]);
  readonly #stage = this.#gauge("drover_job_stage", "1 for the stage of the job", ["stage"]);
  readonly #world = this.#gauge("drover_job_world_size", "Ranks of the current world");
  readonly #nodes = this.#gauge("drover_job_nodes", "Nodes by state", ["state"]);
  readonly #restarts = this.#gauge("drover_job_restarts", "Restarts of ranks that the job has spent");
  readonly #relaunches = this.#gauge("drover_job_relaunches", "Relaunches of nodes that the job has spent");
  readonly #step = this.#unknownYet("drover_job_step", "Newest step reported");
  readonly #loss = this.#unknownYet("drover_job_loss", "Newest loss reported");
  readonly #rate = this.#unknownYet("drover_job_samples_per_second", "Samples a second over all ranks");
  readonly #goodput = this.#unknownYet("drover_job_goodput", "Share of the time that went into steps which no failure undid");
  readonly #paused = this.#gauge("drover_journal_paused", "1 while acknowledgements wait for the disk");
  readonly #commits = this.#counter("drover_journal_commits_total", "Transactions written");
  readonly #position = this.#gauge("drover_journal_commit_seq", "Position of the newest event");
  readonly #pending = this.#gauge("drover_journal_pending_events", "Events that wait to be written");
  readonly #depth = this.#gauge("drover_mailbox_depth", "Messages that wait", ["actor"]);
  readonly #waited = this.#gauge("drover_mailbox_wait_seconds", "How long the last batch waited", ["actor"]);
  readonly #received = this.#counter("drover_messages_received_total", "Messages received since the actor's start", ["actor"]);
  readonly #actorRestarts = this.#counter("drover_actor_restarts_total", "Restarts of the actor", ["actor"]);
  readonly #deadLetters = this.#counter("drover_dead_letters_total", "Messages that found no one");
  readonly #lateAnswers = this.#counter("drover_late_answers_total", "Answers that came after their deadline");
  readonly #openAsks = this.#gauge("drover_open_asks", "Asks that wait for their answer");
  readonly #threads = this.#gauge("drover_threads", "Worker threads of the master");
  readonly #streams = this.#gauge("drover_event_streams", "Event streams that are open");
  readonly #misfits = this.#counter("drover_dlrover_misfits_total", "Messages of DLRover's wire that were answered neutrally", ["kind", "class"]);
  readonly #served = this.#counter("drover_dlrover_messages_total", "Messages of DLRover's wire, by method and class", ["message"]);
  readonly #memory = this.#gauge("process_resident_memory_bytes", "Resident memory of the master process");
  readonly #cpu = this.#counter("process_cpu_seconds_total", "CPU time of the master process");

  #gauge(name: string, help: string, labelNames: string[] = []): Gauge {
    return new Gauge({ name, help, labelNames, registers: [this.registry] });
  }

  /** Not shown until there is something to show: a loss of 0 is not the same as none. */
  #unknownYet(name: string, help: string): Gauge {
    const gauge = this.#gauge(name, help);
    gauge.remove();
    return gauge;
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    return new Counter({ name, help, labelNames, registers: [this.registry] });
  }

  requestDone(route: string, status: number, ms: number): void {
    this.#requests.observe({ route, status }, ms / 1_000);
  }

  scrapeFailed(part: string): void {
    this.#scrapeFailures.inc({ part });
  }

  showStage(stage: string): void {
    this.#stage.reset();
    this.#stage.set({ stage }, 1);
  }

  showPause(isPaused: boolean): void {
    this.#paused.set(isPaused ? 1 : 0);
  }

  showWorld(world: WorldView): void {
    this.#world.set(world.worldSize);
    this.#restarts.set(world.restarts);
    this.#relaunches.set(world.relaunches);
    this.#nodes.reset();
    for (const { state } of world.nodes) this.#nodes.inc({ state });
    show(this.#step, world.step);
    show(this.#loss, world.loss === null ? null : lossOf(world.loss));
    show(this.#rate, world.samplesPerSecond);
    show(this.#goodput, world.goodput);
  }

  showStore({ commitSeq, pendingEvents, commits, paused }: StoreInspection): void {
    this.#position.set(commitSeq);
    this.#pending.set(pendingEvents);
    this.showPause(paused !== null);
    put(this.#commits, commits);
  }

  showRuntime({ actors, counters, threads }: RuntimeState): void {
    for (const gauge of [this.#depth, this.#waited]) gauge.reset();
    for (const counter of [this.#received, this.#actorRestarts]) counter.reset();
    for (const { id: actor, depth, waitedMs, received, restarts } of actors) {
      this.#depth.set({ actor }, depth);
      this.#waited.set({ actor }, waitedMs / 1_000);
      this.#received.inc({ actor }, received);
      this.#actorRestarts.inc({ actor }, restarts);
    }
    put(this.#deadLetters, counters.deadLetters);
    put(this.#lateAnswers, counters.lateAnswers);
    this.#openAsks.set(counters.openAsks);
    this.#threads.set(threads);
  }

  showDlrover({ misfits, served }: Pick<DlroverDesk, "misfits" | "served">): void {
    for (const counter of [this.#misfits, this.#served]) counter.reset();
    for (const { kind, cls, count } of misfits) this.#misfits.inc({ kind, class: cls }, count);
    for (const [message, count] of served) this.#served.inc({ message }, count);
  }

  showProcess(streams: number): void {
    this.#streams.set(streams);
    this.#memory.set(process.memoryUsage.rss());
    const { user, system } = process.cpuUsage();
    put(this.#cpu, (user + system) / 1_000_000);
  }
}

function show(gauge: Gauge, value: number | null): void {
  if (value === null) gauge.remove();
  else gauge.set(value);
}

/** A counter that somebody else counts. */
function put(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

function lossOf(loss: number | "nan" | "inf"): number {
  if (typeof loss === "number") return loss;
  return loss === "nan" ? NaN : Infinity;
}

export function metricsRoute(master: MasterCalls, metrics: Metrics, streams: () => number, desk: DlroverDesk | null): Route {
  const part = async <Answer>(name: string, asked: Promise<Answer>, show: (answer: Answer) => void): Promise<void> => {
    try {
      show(await asked);
    } catch {
      metrics.scrapeFailed(name); // Counted; the others are shown.
    }
  };
  return route({
    method: "GET",
    path: "/metrics",
    tag: "health",
    summary: "Metrics for Prometheus",
    answer: z.string(),
    answerType: "text/plain",
    handle: async ({ reply }) => {
      await Promise.all([
        part("world", master.getWorld(askedWithin), (world) => metrics.showWorld(world)),
        part("store", master.inspectStore(askedWithin), (store) => metrics.showStore(store)),
        part("runtime", master.inspectRuntime(askedWithin), (runtime) => metrics.showRuntime(runtime)),
      ]);
      metrics.showProcess(streams());
      if (desk) metrics.showDlrover(desk);
      void reply.type(metrics.registry.contentType);
      return metrics.registry.metrics();
    },
  });
}
