/** A thread is killed: how long until its actor answers again from 10,000 events; an empty worker thread as the reference. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";
import { stateBackend } from "../actors/state-backend.js";
import { actorRef } from "../src/runtime/actor.js";
import { ActorSystem } from "../src/runtime/actor-system.js";
import type { AnyDefinition } from "../src/runtime/cell-host.js";
import { benchLedger } from "./bench-actors.js";
import { type Figure, figureOf } from "./figure.js";

const rounds = 9;
const events = 10_000;

function emptyThread(): Promise<number> {
  const since = performance.now();
  return new Promise((resolve) => {
    const worker = new Worker("require('node:worker_threads').parentPort.postMessage(1)", { eval: true });
    worker.once("message", () => {
      const took = performance.now() - since;
      void worker.terminate().then(() => resolve(took));
    });
  });
}

export async function run(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const system = new ActorSystem({ journal: { id: "state-backend" } });
  const ledger = actorRef<{ type: "add"; amount: number }>("ledger");
  await system.supervise({
    id: "bench",
    strategy: "one-for-one",
    intensity: 1_000,
    backoffMs: { first: 0, most: 0 },
    children: [
      { id: "state-backend", definition: stateBackend as unknown as AnyDefinition, options: { path: join(folder, "state.db") }, placement: "thread" },
      { id: ledger.id, definition: benchLedger, placement: "thread" },
    ],
  });
  for (let sent = 0; sent < events; sent += 1_000) {
    await Promise.all(Array.from({ length: 1_000 }, () => system.ask(ledger, { type: "add", amount: 1 })));
  }
  const restarts: number[] = [];
  const empty: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const reference = await emptyThread();
    await new Promise((resolve) => setTimeout(resolve, 300)); // The spare thread warms meanwhile, as it does between two real crashes.
    const since = performance.now();
    system.crash(ledger.id);
    await system.ask(ledger, { type: "add", amount: 1 }, { isIdempotent: true });
    if (round === 0) continue;
    restarts.push(performance.now() - since);
    empty.push(reference);
  }
  await system.close();
  rmSync(folder, { recursive: true, force: true });
  const name = "starting an empty worker thread";
  return [figureOf("actor thread killed → answers again, from a state of 10,000 events", "ms", restarts, { name, runs: empty }, { atMost: 0.5 })];
}
