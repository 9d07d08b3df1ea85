/**
 * What must be true of shards at every moment, judged from the events that are durable and from what workers were
 * told. It keeps each shard by name and knows nothing of how the Task Manager does.
 */

import type { ShardTask } from "../../actors/protocol/task-manager.js";
import type { DatasetSpec } from "../../src/job/dataset.js";
import type { ShardEvent } from "../../src/job/shard-ledger.js";

type Shard = { state: "todo" | "leased" | "done"; taskId: number; worker: string; node: string; atMs: number };
type Task = Readonly<{ shard: string; restores: number }>;

export class ShardOracle {
  readonly #spec: DatasetSpec;
  readonly #nowMs: () => number;
  #shards = new Map<string, Shard>();
  readonly #tasks = new Map<number, Task>();
  /** What workers did with their tasks, before they said so. */
  readonly #worked = new Map<number, boolean>();
  readonly #ranges = new Map<string, ShardTask["shard"]>();
  /** Nodes of which somebody has said that they are gone. */
  readonly #gone = new Set<string>();
  #restores = 0;
  returns = 0;

  constructor(spec: DatasetSpec, nowMs: () => number) {
    this.#spec = spec;
    this.#nowMs = nowMs;
  }

  /** An event became durable. */
  hear(event: ShardEvent): void {
    switch (event.type) {
      case "shard-leased": {
        const { epoch, index, taskId, worker, node, atMs } = event.lease;
        const shard = this.#shards.get(`${epoch}:${index}`);
        must(
          shard === undefined || shard.state === "todo",
          `shard ${epoch}:${index} is leased while ${shard?.state ?? ""}`,
        );
        must(!this.#tasks.has(taskId), `task ${taskId} is given out twice`);
        this.#shards.set(`${epoch}:${index}`, { state: "leased", taskId, worker, node, atMs });
        this.#tasks.set(taskId, { shard: `${epoch}:${index}`, restores: this.#restores });
        return;
      }
      case "shard-finished":
        must(this.#worked.get(event.taskId) === true, `task ${event.taskId} is done, and nobody did it`);
        this.#leased(event.taskId).state = "done";
        return;
      case "shard-returned":
        this.returns += 1;
        return this.#return(event.taskId, event.isFailure, event.because);
      case "dataset-restored": {
        this.#restores += 1;
        const { epoch, next, returned } = event.progress;
        this.#restore(
          epoch,
          next,
          returned.map((shard) => `${shard.epoch}:${shard.index}`),
        );
        return;
      }
      default:
        return;
    }
  }

  /** A worker was given a task: that must be durable, and the same records must not have another name. */
  given(task: ShardTask): void {
    const known = this.#tasks.get(task.taskId);
    if (known === undefined) throw new Error(`task ${task.taskId} was given out and is not durable`);
    const { start, end } = task.shard;
    const before = this.#ranges.get(known.shard);
    must(
      before === undefined || (before.start === start && before.end === end),
      `${known.shard} has other records now`,
    );
    this.#ranges.set(known.shard, task.shard);
  }

  /** A worker has done its task, or failed at it, and is about to say so. */
  worked(taskId: number, isOk: boolean): void {
    this.#worked.set(taskId, isOk);
  }

  /** A worker was told that its task counts as done: that must be durable. */
  acknowledged(taskId: number): void {
    const task = this.#tasks.get(taskId);
    if (task === undefined || task.restores !== this.#restores) return;
    must(this.#shards.get(task.shard)?.state === "done", `task ${taskId} was acknowledged and is not durable`);
  }

  /** A worker was told that it does not hold its task any more: so it must be. */
  refused(taskId: number): void {
    const task = this.#tasks.get(taskId);
    if (task === undefined) throw new Error(`task ${taskId} was refused and never given out`);
    const shard = this.#shards.get(task.shard);
    const isHeld = shard?.state === "leased" && shard.taskId === taskId && task.restores === this.#restores;
    must(!isHeld, `task ${taskId} was refused to its holder`);
  }

  /** A checkpoint was handed out: what it counts as done must be done. */
  checkpointed(content: string): void {
    const { epoch, next, pending } = JSON.parse(content) as { epoch: number; next: number; pending: number[][] };
    const names = new Set(pending.map(([e = 0, i = 0]) => `${e}:${i}`));
    for (const name of this.#before(epoch, next)) {
      if (!names.has(name)) must(this.#shards.get(name)?.state === "done", `the checkpoint counts ${name} as done`);
    }
  }

  goneNode(node: string): void {
    this.#gone.add(node);
  }

  /** At the end: every record of every epoch, exactly once. */
  mustBeComplete(size: number): void {
    const { epochs, shardSize } = this.#spec;
    const perEpoch = Math.ceil(size / shardSize);
    must(this.#shards.size === perEpoch * epochs, `${this.#shards.size} shards were made of ${perEpoch * epochs}`);
    for (let epoch = 0; epoch < epochs; epoch++) {
      const records = new Set<number>();
      for (let index = 0; index < perEpoch; index++) {
        const name = `${epoch}:${index}`;
        must(this.#shards.get(name)?.state === "done", `${name} was never done`);
        const range = this.#ranges.get(name);
        for (let record = range?.start ?? 0; record < (range?.end ?? 0); record++) {
          must(!records.has(record), `record ${record} is in two shards of epoch ${epoch}`);
          records.add(record);
        }
      }
      must(records.size === size, `epoch ${epoch} has ${records.size} of ${size} records`);
    }
  }

  #return(taskId: number, isFailure: boolean, because: string): void {
    const shard = this.#leased(taskId);
    shard.state = "todo";
    if (isFailure)
      return must(this.#worked.get(taskId) === false, `task ${taskId} failed, and its holder did not say so`);
    if (!because.startsWith("not done within")) return must(this.#gone.has(shard.node), `${shard.node} is not gone`);
    const { timeoutMs } = this.#spec;
    must(timeoutMs > 0 && shard.atMs + timeoutMs <= this.#nowMs(), `task ${taskId} was timed out too early`);
  }

  #leased(taskId: number): Shard {
    const task = this.#tasks.get(taskId);
    const shard = task === undefined ? undefined : this.#shards.get(task.shard);
    if (shard?.state !== "leased" || shard.taskId !== taskId) throw new Error(`task ${taskId} ends and is not leased`);
    return shard;
  }

  #restore(epoch: number, next: number, pending: readonly string[]): void {
    const none = { taskId: 0, worker: "", node: "", atMs: 0 };
    const names = new Set(pending);
    const states = this.#before(epoch, next).map((name): [string, Shard] => {
      return [name, { ...none, state: names.has(name) ? "todo" : "done" }];
    });
    this.#shards = new Map(states);
  }

  /** The names of the shards before a position. */
  #before(epoch: number, next: number): string[] {
    const perEpoch = Math.ceil(this.#spec.size / this.#spec.shardSize);
    const names: string[] = [];
    for (let e = 0; e <= epoch; e++) {
      for (let i = 0; i < (e === epoch ? next : perEpoch); i++) names.push(`${e}:${i}`);
    }
    return names;
  }
}

export function must(isTrue: boolean, otherwise: string): void {
  if (!isTrue) throw new Error(otherwise);
}
