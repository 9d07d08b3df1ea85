/** A text dataset of 1,000,000 records, one a shard: its checkpoint taken out and put back, and how long a heartbeat waits meanwhile. */

import { type Figure, figureOf } from "./figure.js";
import { Client, Master, type MasterKind, realPickles, underLoad } from "./masters.js";

const runs = Number(process.env["DROVER_BENCH_RUNS"] ?? 3);

type Sample = Readonly<{ seconds: number; heartbeatMs: number; isRestored: boolean }>;

async function sample(client: Client, master: Master, heartbeat: string): Promise<Sample> {
  // Ten agents' worth of questions: a heartbeat every 10 ms.
  const beats = underLoad(master, "grpc", { warmUpMs: 300, measureMs: 3_000, work: { type: "agents", agents: 10, waiting: heartbeat, heartbeat } });
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  const since = performance.now();
  const checkpoint = await client.get("ShardCheckpointRequest", { dataset_name: "bench" });
  if (checkpoint.cls !== "ShardCheckpoint") throw new Error(`the master answered ${checkpoint.cls} instead of a checkpoint`);
  const isRestored = await client.report("ShardCheckpoint", { content: checkpoint.fields.content }).catch(() => false);
  const seconds = (performance.now() - since) / 1_000;
  return { seconds, heartbeatMs: (await beats).maxMs, isRestored };
}

async function measured(kind: MasterKind, heartbeat: string): Promise<Sample[]> {
  const master = await Master.start(kind, "grpc", 10);
  const client = new Client(master);
  try {
    await underLoad(master, "grpc", { warmUpMs: 0, measureMs: 0, work: { type: "join", nodes: 10 } });
    const dataset = { dataset_name: "bench", dataset_size: 1_000_000, batch_size: 1, num_minibatches_per_shard: 1, num_epochs: 1, task_type: 1, storage_type: "text" };
    await client.report("DatasetShardParams", dataset);
    await client.get("TaskRequest", { dataset_name: "bench" }); // Makes the shards.
    const samples: Sample[] = [];
    for (let run = 0; run < runs; run += 1) samples.push(await sample(client, master, heartbeat));
    return samples;
  } finally {
    client.close();
    await master.close();
  }
}

export async function run(): Promise<Figure[]> {
  const [heartbeat = ""] = realPickles([["HeartBeat", { timestamp: Math.floor(Date.now() / 1_000) }]]);
  const [stock, drover] = [await measured("stock", heartbeat), await measured("drover", heartbeat)];
  const failed = stock.filter((one) => !one.isRestored).length;
  const name = "checkpoint and restore, text dataset of 1,000,000 records";
  const restored = drover.filter((one) => one.isRestored).length / drover.length;
  const stockFigures = `${median(stock.map((one) => one.seconds))} s, a heartbeat waits ${median(stock.map((one) => one.heartbeatMs))} ms`;
  process.stdout.write(`DLRover's master: ${stockFigures}; ${failed} of ${stock.length} restores failed\n`);
  return [
    figureOf(`${name}: time`, "s", drover.map((one) => one.seconds), null, { atMost: 0.3 }),
    figureOf(`${name}: longest wait of a heartbeat`, "ms", drover.map((one) => one.heartbeatMs), null, { atMost: 50 }),
    figureOf(`${name}: restores that worked`, "of 1", [restored], null, { atLeast: 1 }),
  ];
}

function median(values: readonly number[]): string {
  return (values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN).toPrecision(3);
}
