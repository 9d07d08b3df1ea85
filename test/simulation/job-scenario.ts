/**
 * The whole control plane but its HTTP port and its processes: Orchestrator, Job Manager, Auto Scaler, Task Manager,
 * Diagnosis Master and Scheduler over simulated hosts, agents and ranks. Actors crash, the master is killed, ranks,
 * agents, nurseries and hosts die, networks are cut, worlds freeze; after a while the faults stop, and the job must
 * end, and end well if its budget allows.
 */

import { diagnosisMaster } from "../../actors/diagnosis-master.js";
import { jobAutoScaler } from "../../actors/job-auto-scaler.js";
import { jobManager } from "../../actors/job-manager.js";
import { masterOrchestrator } from "../../actors/master-orchestrator.js";
import * as refs from "../../actors/protocol/refs.js";
import type { MasterServiceMessage } from "../../actors/protocol/master-service.js";
import { scheduler } from "../../actors/scheduler.js";
import { taskManager } from "../../actors/task-manager.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import { isFinal } from "../../src/job/lifecycle.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import type { Stage } from "../../src/job/stage.js";
import { defineActor } from "../../src/runtime/actor.js";
import type { AnyDefinition } from "../../src/runtime/cell-host.js";
import { type NetworkFaults, SimClient } from "../../src/sim/sim-client.js";
import { SimRandom } from "../../src/sim/sim-random.js";
import { type SimCounts, SimSystem } from "../../src/sim/sim-system.js";
import { JobOracle } from "./job-oracle.js";
import { must } from "./shard-oracle.js";
import { SimCluster } from "./sim-cluster.js";

const faultsMs = 15_000;
const patienceMs = 240_000;
const quiet: NetworkFaults = { delayMsMax: 5, lossChance: 0, doubleChance: 0 };

export type JobReport = Readonly<{
  stage: Stage;
  reason: string;
  restarts: number;
  relaunches: number;
  rounds: number;
  pauses: number;
  faults: number;
  counts: SimCounts;
  endedAtMs: number;
  trace: string;
}>;

/** The Master Service without its port. */
const addressed = defineActor<null, MasterServiceMessage, never>({
  name: "master-service",
  module: import.meta.url,
  init: () => null,
  receive(_state, message, ctx) {
    if (message.type === "get-address") ctx.reply({ host: "127.0.0.1", port: 80 });
  },
  apply: () => undefined,
});

export async function simulateJob(seed: number): Promise<JobReport> {
  const scenario = new JobScenario(seed);
  try {
    return await scenario.run();
  } catch (thrown) {
    const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
    throw new Error(`${why}\n${scenario.story}`);
  }
}

class JobScenario {
  readonly #random: SimRandom;
  readonly #spec: JobSpec;
  readonly #isRich: boolean;
  readonly #oracle: JobOracle;
  readonly #system: SimSystem;
  readonly #cluster: SimCluster;
  readonly #startMs: number;
  #faults = 0;

  constructor(seed: number) {
    const random = new SimRandom(seed ^ 0x2545f491);
    this.#random = random;
    this.#isRich = random.chance(0.7);
    this.#spec = specOf(random, this.#isRich);
    const disk = { writeMsMax: random.pick([0, 3, 20]), stallChance: random.pick([0, 0.01]) };
    const faults = { ...disk, linkMsMax: random.pick([0, 2, 10]), restartMsMax: random.pick([5, 300]) };
    this.#system = new SimSystem(seed, faults, (actor, event) => this.#oracle.hear(actor, event));
    this.#startMs = this.#system.clock.now();
    this.#oracle = new JobOracle(this.#spec, () => this.#system.clock.now() - this.#startMs);
    const network = {
      delayMsMax: random.pick([1, 10, 100]),
      lossChance: random.pick([0, 0.1]),
      doubleChance: random.pick([0, 0.1]),
    };
    this.#cluster = new SimCluster(this.#system, {
      hosts: random.between(2, 4),
      nproc: this.#spec.roles[0]?.nprocPerNode ?? 1,
      steps: random.pick([20, 100, 250]),
      network: () => (this.#isFaulty ? network : quiet),
      oracle: this.#oracle,
    });
    this.#oracle.processes = () => this.#cluster.processes;
    this.#oracle.isTrained = () => this.#cluster.training.isDone;
  }

  get story(): string {
    return this.#oracle.story;
  }

  async run(): Promise<JobReport> {
    const system = this.#system;
    this.#startActors();
    const everyMs = this.#random.pick([150, 700, 3_000]);
    this.#failLater(everyMs);
    const isStopped = this.#random.chance(0.1);
    if (isStopped) this.#stopLater();
    if (this.#random.chance(0.3)) this.#scaleLater();
    if (this.#random.chance(0.2)) this.#pauseLater();
    const oracle = this.#oracle;
    await system.run(this.#startMs + faultsMs + patienceMs, () => isFinal(oracle.stage));
    const { stage, reason, restarts, relaunches, pauses } = oracle;
    must(isFinal(stage), `the job has not ended, it is ${stage}`);
    const isWell = stage === "succeeded" || (isStopped && stage === "stopped");
    must(!this.#isRich || isWell, `the job ${stage}: ${reason?.code ?? ""}: ${reason?.message ?? ""}`);
    const endedAtMs = system.clock.now() - this.#startMs;
    const rounds = this.#cluster.training.rounds.size;
    const trace = String(hashOf(oracle.lines));
    const spent = { restarts, relaunches, rounds, pauses, faults: this.#faults };
    return { stage, reason: reason?.code ?? "", ...spent, counts: system.counts, endedAtMs, trace };
  }

  #startActors(): void {
    const options = { spec: this.#spec, jobDir: "/jobs/sim", tokenPath: "/jobs/sim/token" };
    const everyEvents = this.#random.pick([5, 40, 10_000]);
    const actors: [string, AnyDefinition, unknown][] = [
      ["master-service", addressed, {}],
      ["job-manager", jobManager, {}],
      ["job-auto-scaler", jobAutoScaler, {}],
      ["task-manager", taskManager, {}],
      ["diagnosis-master", diagnosisMaster, {}],
      ["master-orchestrator", masterOrchestrator, options],
    ];
    for (const [id, definition, given] of actors) {
      const { snapshot } = definition;
      const often = snapshot ? { ...definition, snapshot: { ...snapshot, everyEvents } } : definition;
      this.#system.start({ id, definition: often, options: given });
    }
    const port = this.#cluster.openPort.bind(this.#cluster);
    this.#system.start({
      id: "scheduler",
      definition: scheduler,
      options: {},
      port: (ctx) => port(ctx),
    });
  }

  get #isFaulty(): boolean {
    return this.#system.clock.now() - this.#startMs < faultsMs;
  }

  #failLater(everyMs: number): void {
    const random = this.#random;
    this.#system.clock.setTimer(random.between(1, 2 * everyMs), () => {
      if (!this.#isFaulty) return;
      this.#faults += 1;
      this.#system.check(() => this.#fail(random.between(0, 99), random.between(0, 999)));
      this.#failLater(everyMs);
    });
  }

  #fail(kind: number, pick: number): void {
    const actors = [
      "job-manager",
      "master-orchestrator",
      "scheduler",
      "job-auto-scaler",
      "diagnosis-master",
      "task-manager",
    ];
    const cluster = this.#cluster;
    this.#oracle.note(`fault ${kind} ${pick}`);
    if (kind < 30) this.#crash(actors[pick % actors.length] ?? "");
    else if (kind < 40) this.#system.crashAll();
    else if (kind < 60) cluster.killRank(pick);
    else if (kind < 75) cluster.killAgent(pick);
    else if (kind < 83) cluster.killNursery(pick);
    else if (kind < 88) cluster.killHost(pick);
    else if (kind < 95) cluster.cut(pick);
    else cluster.training.freeze();
  }

  /** As its supervisor does, the Orchestrator is told. */
  #crash(id: string): void {
    const told = { type: "child-restarted", child: id, why: "crashed", restarts: 1 } as const;
    const tell = (): void => this.#system.tell(refs.masterOrchestrator.id, told);
    if (this.#random.chance(0.3)) return this.#system.crashInWrite(id, () => this.#isFaulty, tell);
    this.#system.crash(id);
    tell();
  }

  #stopLater(): void {
    const client = new SimClient(this.#system, () => quiet);
    const isKill = this.#random.chance(0.3);
    this.#system.clock.setTimer(this.#random.between(100, 2 * faultsMs), () => {
      void client.ask(refs.masterOrchestrator, { type: "stop-job", because: "a person asked for it", isKill });
    });
  }

  #pauseLater(): void {
    const client = new SimClient(this.#system, () => quiet);
    const { clock } = this.#system;
    const pauseAndResume = async (): Promise<void> => {
      const pause = { type: "pause-job", because: "a person asked for it" } as const;
      const paused = await client.ask(refs.masterOrchestrator, pause, { requestId: "pause" });
      if (!paused.ok) return;
      await clock.sleep(this.#random.between(0, 5_000));
      await client.ask(refs.masterOrchestrator, { type: "resume-job" }, { requestId: "resume" });
    };
    clock.setTimer(this.#random.between(100, faultsMs), () => void pauseAndResume());
  }

  #scaleLater(): void {
    const client = new SimClient(this.#system, () => quiet);
    const { min, max } = this.#spec.roles[0]?.nodes ?? { min: 1, max: 1 };
    this.#system.clock.setTimer(this.#random.between(100, faultsMs), () => {
      const nodes = this.#random.between(min, max);
      void client.ask(
        refs.jobAutoScaler,
        { type: "scale-job", nodes, because: "a person asked for it" },
        { requestId: "scale" },
      );
    });
  }
}

function specOf(random: SimRandom, isRich: boolean): JobSpec {
  const max = random.between(1, 4);
  const min = random.between(1, max);
  const role = {
    nodes: { min, max },
    nprocPerNode: random.between(1, 2),
    resources: { memoryBytes: random.pick([0, 2 ** 30]) },
    entrypoint: { target: "train.py", python: "/bin/python3" },
  };
  const budget = isRich ? 100_000 : random.between(0, 4);
  const times = {
    heartbeatIntervalMs: 1_000,
    heartbeatTimeoutMs: 4_000,
    lastCallMs: 300,
    joinTimeoutMs: 60_000,
    stopGraceMs: 500,
  };
  const diagnosis = { hangTimeoutMs: 5_000 };
  const asked = {
    name: "sim",
    roles: [role],
    cwd: "/",
    env: {},
    maxRestarts: budget,
    maxRelaunches: budget,
    ...times,
    diagnosis,
  };
  return resolveSpec(asked, "/logs");
}

function hashOf(lines: readonly string[]): number {
  let hash = 0;
  for (const line of lines)
    for (let index = 0; index < line.length; index++) hash = (Math.imul(hash, 31) + line.charCodeAt(index)) | 0;
  return hash;
}
