/** Asks and tells between two threads, against a bare MessagePort and a bare loop of msgpackr frames in the same minute. */

import { Worker } from "node:worker_threads";
import { Packr } from "msgpackr/pack";
import { actorRef } from "../src/runtime/actor.js";
import { ActorSystem } from "../src/runtime/actor-system.js";
import { bareStructures } from "./bare-structures.js";
import { type EchoMessage, benchEcho, tenFields } from "./bench-actors.js";
import { type Figure, figureOf } from "./figure.js";

const rounds = 5;
const far = actorRef<EchoMessage>("far");

/** Calls a second. */
async function rate(count: number, run: () => Promise<unknown>): Promise<number> {
  const since = performance.now();
  await run();
  return count / ((performance.now() - since) / 1_000);
}

class Bare {
  readonly mode: "plain" | "frames";
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (payload: unknown) => void>();
  readonly #packr = new Packr({ structures: bareStructures() });
  #outbox: { id: number; payload: unknown }[] = [];
  #nextId = 0;

  constructor(mode: "plain" | "frames") {
    this.mode = mode;
    this.#worker = new Worker(new URL("./bare-thread.js", import.meta.url), { workerData: { mode } });
    this.#worker.on("message", (message: unknown) => {
      const answers = (mode === "plain" ? [message] : this.#packr.unpack(message as Uint8Array)) as { id: number; payload: unknown }[];
      for (const { id, payload } of answers) {
        this.#waiting.get(id)?.(payload);
        this.#waiting.delete(id);
      }
    });
  }

  ask(payload: unknown): Promise<unknown> {
    return new Promise((resolve) => {
      const id = this.#nextId++;
      this.#waiting.set(id, resolve);
      this.#send({ id, payload });
    });
  }

  note(payload: unknown): void {
    this.#send({ id: -1, payload });
  }

  #send(message: { id: number; payload: unknown }): void {
    if (this.mode === "plain") return this.#worker.postMessage(message);
    if (this.#outbox.push(message) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const packed = this.#packr.pack(this.#outbox);
    this.#outbox = [];
    const copy = new Uint8Array(packed.length);
    copy.set(packed);
    this.#worker.postMessage(copy, [copy.buffer]);
  }

  end(): Promise<number> {
    return this.#worker.terminate();
  }
}

type Side = { ask: (payload: ReturnType<typeof tenFields>) => Promise<unknown>; note: (payload: ReturnType<typeof tenFields>) => void };

const oneByOne = (side: Side): Promise<number> =>
  rate(10_000, async () => {
    for (let i = 0; i < 10_000; i++) await side.ask(tenFields(i));
  });
const thousand = (side: Side): Promise<number> =>
  rate(200_000, async () => {
    for (let batch = 0; batch < 200; batch++) await Promise.all(Array.from({ length: 1_000 }, (_, i) => side.ask(tenFields(i))));
  });
const tells = (side: Side): Promise<number> =>
  rate(300_000, async () => {
    for (let batch = 0; batch < 300; batch++) {
      for (let i = 0; i < 1_000; i++) side.note(tenFields(i));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await side.ask(tenFields(0));
  });

export async function run(): Promise<Figure[]> {
  const system = new ActorSystem();
  await system.supervise({ id: "bench", strategy: "one-for-one", children: [{ id: far.id, definition: benchEcho, placement: "thread" }] });
  const ours: Side = {
    ask: (payload) => system.ask(far, { type: "echo", payload }, { deadlineMs: 60_000 }),
    note: (payload) => system.tell(far, { type: "note", payload }),
  };
  const plain = new Bare("plain");
  const frames = new Bare("frames");
  const runs = { seq: [] as number[], seqBare: [] as number[], many: [] as number[], manyBare: [] as number[], tell: [] as number[], tellBare: [] as number[] };
  for (let round = 0; round <= rounds; round++) {
    const measured: [number[], () => Promise<number>][] = [
      [runs.seqBare, () => oneByOne(plain)],
      [runs.seq, () => oneByOne(ours)],
      [runs.manyBare, () => thousand(frames)],
      [runs.many, () => thousand(ours)],
      [runs.tellBare, () => tells(frames)],
      [runs.tell, () => tells(ours)],
    ];
    for (const [list, measure] of measured) {
      const value = await measure();
      if (round > 0) list.push(value); // The first round warms up.
    }
  }
  await Promise.all([plain.end(), frames.end(), system.close()]);
  const port = { name: "the same over a bare MessagePort", runs: runs.seqBare };
  const loop = (list: number[]): { name: string; runs: number[] } => ({ name: "a bare loop of msgpackr frames", runs: list });
  return [
    figureOf("asks between two threads, one at a time, 10 fields", "1/s", runs.seq, port, { atLeast: 0.8 }),
    figureOf("asks between two threads, 1,000 in flight, 10 fields", "1/s", runs.many, loop(runs.manyBare), { atLeast: 0.5 }),
    figureOf("tells between two threads, 10 fields", "1/s", runs.tell, loop(runs.tellBare), { atLeast: 0.5 }),
  ];
}
