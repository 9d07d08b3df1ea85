/**
 * How many stock agents one master holds on this machine at p99 under 100 ms: WaitingNodeNum ten times a second and a heartbeat every 15 s
 * each, open loop; over HTTP a connection a call. Doubled until it fails, then halved in three times.
 *
 * The generator runs on the same cores as the master, and is counted among what fails: a point at which the generator itself sends late is over.
 */

import { type Figure, figureOf } from "./figure.js";
import type { Transport } from "./load-connection.js";
import { Master, type MasterKind, realPickles, underLoad } from "./masters.js";

const p99MaxMs = 100;
const first = 100;
const most = 12_800;

async function holds(master: Master, transport: Transport, agents: number, pickles: readonly [string, string]): Promise<boolean> {
  const [waiting, heartbeat] = pickles;
  try {
    const { p99Ms, failed } = await underLoad(master, transport, { warmUpMs: 1_500, measureMs: 3_500, work: { type: "agents", agents, waiting, heartbeat } });
    return p99Ms < p99MaxMs && failed === 0;
  } catch {
    return false; // Calls failed, or none was answered: the master does not hold so many.
  }
}

async function capacity(kind: MasterKind, transport: Transport, pickles: readonly [string, string]): Promise<number> {
  const master = await Master.start(kind, transport, 64);
  try {
    await underLoad(master, transport, { warmUpMs: 0, measureMs: 0, work: { type: "join", nodes: 64 } });
    await holds(master, transport, first, pickles); // Warms up.
    let held = 0;
    let over = first;
    while (over <= most && (await holds(master, transport, over, pickles))) [held, over] = [over, over * 2];
    for (let step = 0; step < 3 && held > 0; step += 1) {
      const middle = Math.round((held + over) / 2);
      if (await holds(master, transport, middle, pickles)) held = middle;
      else over = middle;
    }
    return held;
  } finally {
    await master.close();
  }
}

export async function run(): Promise<Figure[]> {
  const [waiting = "", heartbeat = ""] = realPickles([
    ["WaitingNodeNumRequest", { rdzv_name: "elastic-training" }],
    ["HeartBeat", { timestamp: Math.floor(Date.now() / 1_000) }],
  ]);
  const figures: Figure[] = [];
  for (const transport of ["grpc", "http"] as const) {
    const stock = await capacity("stock", transport, [waiting, heartbeat]);
    const drover = await capacity("drover", transport, [waiting, heartbeat]);
    const name = `stock agents that a master holds at p99 under ${p99MaxMs} ms, ${transport === "grpc" ? "gRPC" : "HTTP"}`;
    figures.push(figureOf(name, "agents", [drover], { name: "DLRover's master", runs: [stock] }, {}));
  }
  return figures;
}
