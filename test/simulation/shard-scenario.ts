/**
 * A Task Manager, workers that lease, work, fail, stall and die, a network that loses and doubles, a disk that tears,
 * and crashes of the actor and of the whole master; after a while the faults stop, and then everything must come to
 * its end.
 */

import { taskManager as ref } from "../../actors/protocol/refs.js";
import { taskManager } from "../../actors/task-manager.js";
import type { DatasetSpec } from "../../src/job/dataset.js";
import type { ShardEvent } from "../../src/job/shard-ledger.js";
import { defineActor } from "../../src/runtime/actor.js";
import { SimClient, type NetworkFaults } from "../../src/sim/sim-client.js";
import { SimRandom } from "../../src/sim/sim-random.js";
import { type SimCounts, SimSystem } from "../../src/sim/sim-system.js";
import { must, ShardOracle } from "./shard-oracle.js";

const faultsMs = 20_000;
/** Once the faults have stopped: the longest lease, the grace after a restart, and 800 records, one worker, one at a time. */
const patienceMs = 600_000;
const quiet: NetworkFaults = { delayMsMax: 5, lossChance: 0, doubleChance: 0 };

/** What a run was like; the same for the same seed. */
export type RunReport = Readonly<{
  events: number;
  returns: number;
  counts: SimCounts;
  endedAtMs: number;
  trace: number;
}>;

export async function simulateShards(seed: number): Promise<RunReport> {
  return new ShardScenario(seed).run();
}

class ShardScenario {
  readonly #random: SimRandom;
  readonly #spec: DatasetSpec;
  readonly #oracle: ShardOracle;
  readonly #system: SimSystem;
  readonly #network: NetworkFaults;
  readonly #workers: number;
  readonly #startMs: number;
  #finalSize: number;
  #requests = 0;
  #events = 0;
  /** A running hash of every durable event. */
  #trace = 0;
  #working = 0;

  constructor(seed: number) {
    const random = new SimRandom(seed ^ 0x5bd1e995);
    this.#random = random;
    this.#spec = specOf(random);
    this.#finalSize = this.#spec.size;
    this.#workers = random.between(1, 5);
    this.#network = {
      delayMsMax: random.pick([1, 30, 300]),
      lossChance: random.pick([0, 0.05, 0.3]),
      doubleChance: random.pick([0, 0.2]),
    };
    const disk = { writeMsMax: random.pick([0, 3, 50]), stallChance: random.pick([0, 0.02]) };
    const faults = { ...disk, linkMsMax: random.pick([0, 2, 20]), restartMsMax: random.pick([5, 500]) };
    this.#system = new SimSystem(seed, faults, (_actor, event) => this.#hear(event as ShardEvent));
    this.#oracle = new ShardOracle(this.#spec, () => this.#system.clock.now());
    this.#startMs = this.#system.clock.now();
  }

  async run(): Promise<RunReport> {
    const system = this.#system;
    const everyEvents = this.#random.pick([7, 50, 10_000]);
    const { snapshot } = taskManager;
    const definition = defineActor({ ...taskManager, ...(snapshot ? { snapshot: { ...snapshot, everyEvents } } : {}) });
    system.start({ id: ref.id, definition, options: {} });
    this.#crashLater();
    for (let number = 0; number < this.#workers; number++) this.#startWorker(number, 1);
    if (this.#spec.kind === "stream") this.#script(this.#feed());
    else if (this.#random.chance(0.3)) this.#script(this.#checkpointAndRestore());
    await system.run(this.#startMs + faultsMs + patienceMs, () => this.#working === 0);
    must(this.#working === 0, `${this.#working} scripts have not come to their end`);
    this.#oracle.mustBeComplete(this.#finalSize);
    const endedAtMs = system.clock.now() - this.#startMs;
    const { returns } = this.#oracle;
    return {
      events: this.#events,
      returns,
      counts: system.counts,
      endedAtMs,
      trace: this.#trace,
    };
  }

  #hear(event: ShardEvent): void {
    this.#events += 1;
    const text = JSON.stringify(event) + String(this.#system.clock.now());
    for (let index = 0; index < text.length; index++)
      this.#trace = (Math.imul(this.#trace, 31) + text.charCodeAt(index)) | 0;
    this.#oracle.hear(event);
  }

  get #isFaulty(): boolean {
    return this.#system.clock.now() - this.#startMs < faultsMs;
  }

  #client(): SimClient {
    return new SimClient(this.#system, () => (this.#isFaulty ? this.#network : quiet));
  }

  #crashLater(): void {
    const everyMs = this.#random.pick([300, 3_000, 100_000]);
    this.#system.clock.setTimer(this.#random.between(1, 2 * everyMs), () => {
      if (!this.#isFaulty) return;
      if (this.#random.chance(0.3)) this.#system.crashAll();
      else if (this.#random.chance(0.5)) this.#system.crashInWrite(ref.id, () => this.#isFaulty);
      else this.#system.crash(ref.id);
      this.#crashLater();
    });
  }

  /** Runs a script; what it throws ends the run. */
  #script(script: Promise<void>): void {
    this.#working += 1;
    script.then(
      () => (this.#working -= 1),
      (thrown: unknown) =>
        this.#system.check(() => {
          throw thrown;
        }),
    );
  }

  #startWorker(number: number, incarnation: number): void {
    const client = this.#client();
    const node = `n${number % 2}`;
    const life = { isOver: false };
    this.#script(
      this.#work(client, `${node}/${number}/${incarnation}`, node).then(() => {
        life.isOver = true;
      }),
    );
    if (!this.#random.chance(0.6)) return;
    this.#system.clock.setTimer(this.#random.between(10, faultsMs), () => {
      if (life.isOver) return;
      client.isAlive = false;
      this.#system.clock.setTimer(this.#random.between(1, 500), () => {
        this.#working -= 1; // The script of the dead one stays open for ever.
        this.#oracle.goneNode(node);
        const worker = this.#random.chance(0.5) ? `${node}/${number}` : null;
        this.#system.tell(ref.id, { type: "return-shards", node, worker, because: "it was killed" } as never);
        this.#startWorker(number, incarnation + 1);
      });
    });
  }

  async #work(client: SimClient, worker: string, node: string): Promise<void> {
    const { clock } = this.#system;
    const random = this.#random;
    const registered = await client.ask(ref, { type: "register-dataset", dataset: this.#spec });
    must(registered.ok, "the dataset was refused");
    for (;;) {
      const waitMs = random.pick([0, 500, 5_000]);
      const request = `r${++this.#requests}`;
      const lease = { type: "lease-shard", dataset: "data", worker, node, request, waitMs } as const;
      const reply = await client.ask(ref, lease, { waitMs, ...this.#requestId() });
      must(reply.ok, "a lease was refused");
      if (!reply.ok || reply.status === "done") return;
      if (reply.status !== "shard") {
        await clock.sleep(random.between(50, 500));
        continue;
      }
      const { task } = reply;
      this.#oracle.given(task);
      const isStalled = this.#isFaulty && random.chance(0.05);
      await clock.sleep(isStalled ? random.between(1_000, 15_000) : random.between(0, 400));
      if (!client.isAlive) return new Promise(() => undefined);
      const isOk = !(this.#isFaulty && random.chance(0.1));
      this.#oracle.worked(task.taskId, isOk);
      const finish = {
        type: "finish-shard",
        dataset: "data",
        taskId: task.taskId,
        worker,
        isOk,
        message: "bad",
      } as const;
      const ended = await client.ask(ref, finish, this.#requestId());
      if (!ended.ok) this.#oracle.refused(task.taskId);
      else if (isOk) this.#oracle.acknowledged(task.taskId);
    }
  }

  /** Half of the requests have an id by which the runtime knows them again. */
  #requestId(): { requestId?: string } {
    return this.#random.chance(0.5) ? { requestId: `q${++this.#requests}` } : {};
  }

  /** The one who makes the stream. */
  async #feed(): Promise<void> {
    const client = this.#client();
    await client.ask(ref, { type: "register-dataset", dataset: this.#spec });
    const steps = this.#random.between(1, 10);
    for (let step = 1; step <= steps; step++) {
      await this.#system.clock.sleep(this.#random.between(0, 3_000));
      this.#finalSize += this.#random.between(0, 60);
      const isEnd = step === steps;
      const reply = await client.ask(ref, { type: "extend-stream", dataset: "data", size: this.#finalSize, isEnd });
      must(reply.ok, "the stream was not extended");
    }
  }

  /** The one who saves the model with the dataset's checkpoint, and goes back to it once. */
  async #checkpointAndRestore(): Promise<void> {
    const client = this.#client();
    await client.ask(ref, { type: "register-dataset", dataset: this.#spec });
    await this.#system.clock.sleep(this.#random.between(0, 4_000));
    const taken = await client.ask(ref, { type: "checkpoint-dataset", dataset: "data" });
    if (!taken.ok) throw new Error(taken.message);
    this.#oracle.checkpointed(taken.content);
    await this.#system.clock.sleep(this.#random.between(0, 4_000));
    const requestId = `q${++this.#requests}`;
    const restored = await client.ask(
      ref,
      { type: "restore-dataset", dataset: "data", content: taken.content },
      { requestId },
    );
    must(restored.ok, "the checkpoint was not restored");
    this.#startWorker(this.#workers, 1); // The others may have come to their end.
  }
}

function specOf(random: SimRandom): DatasetSpec {
  const kind = random.pick(["table", "text", "stream"] as const);
  return {
    name: "data",
    kind,
    size: random.between(0, 200),
    shardSize: random.pick([1, 7, 10, 100]),
    epochs: kind === "stream" ? 1 : random.between(1, 2),
    isShuffled: random.chance(0.5),
    seed: random.between(0, 1_000),
    timeoutMs: random.pick([3_000, 10_000, 60_000]),
  };
}
