/** 1,000 agents join over gRPC, and each holds the same world; DLRover's own master as the reference. */

import { type Figure, figureOf } from "./figure.js";
import { Master, type MasterKind, type Measured, underLoad } from "./masters.js";

const runs = Number(process.env["DROVER_BENCH_RUNS"] ?? 3);
const nodes = 1_000;

/** A master for each run: a world that is joined anew is another thing. */
async function measured(kind: MasterKind): Promise<Measured[]> {
  const results: Measured[] = [];
  for (let run = 0; run < runs; run += 1) {
    const master = await Master.start(kind, "grpc", nodes);
    try {
      results.push(await underLoad(master, "grpc", { warmUpMs: 0, measureMs: 0, work: { type: "join", nodes } }));
    } finally {
      await master.close();
    }
  }
  return results;
}

export async function run(): Promise<Figure[]> {
  const [stock, drover] = [await measured("stock"), await measured("drover")];
  const figure = (label: string, unit: string, part: (one: Measured) => number): Figure =>
    figureOf(`1,000 agents join and hold the same world, gRPC: ${label}`, unit, drover.map(part), { name: "DLRover's master", runs: stock.map(part) }, { atMost: 0.25 });
  return [figure("time", "s", (one) => one.elapsedMs / 1_000), figure("processor time of the master", "s", (one) => one.masterCpuSeconds)];
}
