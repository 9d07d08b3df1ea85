/** Actors that share a thread: asks among them, how fast they are made, what an idle one weighs. References are Erlang's published figures. */

import { actorRef } from "../src/runtime/actor.js";
import { ActorSystem } from "../src/runtime/actor-system.js";
import { benchAsker, benchEcho } from "./bench-actors.js";
import { type Figure, figureOf } from "./figure.js";

const rounds = 5;
const asks = 300_000;
const actors = 100_000;

export async function run(): Promise<Figure[]> {
  const system = new ActorSystem();
  system.spawnPlain("echo", benchEcho);
  system.spawnPlain("asker", benchAsker);
  const asker = actorRef<{ type: "ask-many"; to: string; count: number; inFlight: number }>("asker");
  const askRuns: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    const since = performance.now();
    await system.ask(asker, { type: "ask-many", to: "echo", count: asks, inFlight: 1_000 }, { deadlineMs: 60_000 });
    if (round > 0) askRuns.push(asks / ((performance.now() - since) / 1_000));
  }

  const spawnRuns: number[] = [];
  const byteRuns: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const other = new ActorSystem();
    globalThis.gc?.();
    const before = process.memoryUsage().heapUsed;
    const since = performance.now();
    for (let i = 0; i < actors; i++) other.spawnPlain(`idle-${i}`, benchEcho);
    spawnRuns.push(actors / ((performance.now() - since) / 1_000));
    globalThis.gc?.();
    byteRuns.push((process.memoryUsage().heapUsed - before) / actors);
    await other.close();
  }
  await system.close();
  return [
    figureOf("asks between two actors that share a thread, 1,000 in flight", "1/s", askRuns, { name: "Erlang gen_server:call (constant)", runs: [870_000] }, { atLeast: 1 }),
    figureOf("actors made a second, sharing a thread", "1/s", spawnRuns, { name: "Erlang (constant)", runs: [959_000] }, { atLeast: 0.2 }),
    figureOf(`memory of an idle actor, ${actors} of them`, "bytes", byteRuns, null, { atMost: 1_024 }),
  ];
}
