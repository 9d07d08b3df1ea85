/** Shards handed out and reported done over gRPC, 32 workers; durable at Drover's master, lost with DLRover's own, which is the reference. */

import { type Figure, figureOf } from "./figure.js";
import { Client, Master, type MasterKind, type Measured, underLoad } from "./masters.js";

const runs = Number(process.env["DROVER_BENCH_RUNS"] ?? 3);
const workers = 32;

async function measured(kind: MasterKind): Promise<Measured[]> {
  const master = await Master.start(kind, "grpc", workers);
  const client = new Client(master);
  const results: Measured[] = [];
  try {
    await underLoad(master, "grpc", { warmUpMs: 0, measureMs: 0, work: { type: "join", nodes: workers } });
    // A million shards of 1,000 records.
    const dataset = { dataset_name: "bench", dataset_size: 1_000_000_000, batch_size: 100, num_minibatches_per_shard: 10, num_epochs: 1, task_type: 1, storage_type: "table" };
    await client.report("DatasetShardParams", dataset);
    for (let run = 0; run < runs; run += 1) {
      results.push(await underLoad(master, "grpc", { warmUpMs: run === 0 ? 6_000 : 300, measureMs: 2_000, work: { type: "shards", dataset: "bench", workers } }));
    }
  } finally {
    client.close();
    await master.close();
  }
  return results;
}

export async function run(): Promise<Figure[]> {
  const [stock, drover] = [await measured("stock"), await measured("drover")];
  const figure = (label: string, unit: string, part: "ratePerSecond" | "cpuSecondsPerThousand" | "p99Ms", mustReach: Figure["mustReach"]): Figure =>
    figureOf(`shards, ${workers} workers, gRPC: ${label}`, unit, drover.map((one) => one[part]), { name: "DLRover's master", runs: stock.map((one) => one[part]) }, mustReach);
  return [
    figure("handed out and reported done", "1/s", "ratePerSecond", { atLeast: 3 }),
    figure("processor time of the master", "s per 1,000", "cpuSecondsPerThousand", { atMost: 0.35 }),
    figure("p99 of both calls", "ms", "p99Ms", {}),
  ];
}
