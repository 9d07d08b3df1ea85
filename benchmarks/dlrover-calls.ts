/** One kind of call, 64 in flight: the rate, and what the master takes of the processor; DLRover's own master as the reference. */

import { type Figure, figureOf } from "./figure.js";
import type { Method, Transport } from "./load-connection.js";
import { type Master, Master as Masters, type MasterKind, type Measured, realPickles, underLoad } from "./masters.js";

const runs = Number(process.env["DROVER_BENCH_RUNS"] ?? 3);
const inFlight = 64;
const connections = Number(process.env["DROVER_BENCH_CONNECTIONS"] ?? 64);

type Case = Readonly<{ name: string; transport: Transport; method: Method; pickles: readonly string[]; rateAtLeast: number; cpuAtMost: number }>;

export async function run(): Promise<Figure[]> {
  const keys = Array.from({ length: 256 }, (_, i) => ["KeyValuePair", { key: `elastic-training/bench.1.0/key-${i}`, value: { bytes: `value-${i}` }, op: "set" }] as const);
  const [waiting = "", heartbeat = "", ...sets] = realPickles([
    ["WaitingNodeNumRequest", { rdzv_name: "elastic-training" }],
    ["HeartBeat", { timestamp: Math.floor(Date.now() / 1_000) }],
    ...keys,
  ]);
  const cases: Case[] = [
    { name: "gRPC get WaitingNodeNum", transport: "grpc", method: "get", pickles: [waiting], rateAtLeast: 3, cpuAtMost: 0.3 },
    { name: "gRPC report of a key and value, durable", transport: "grpc", method: "report", pickles: sets, rateAtLeast: 2.5, cpuAtMost: 0.4 },
    { name: "gRPC heartbeat", transport: "grpc", method: "get", pickles: [heartbeat], rateAtLeast: 4, cpuAtMost: 0.25 },
    { name: "HTTP get WaitingNodeNum, connections kept", transport: "http", method: "get", pickles: [waiting], rateAtLeast: 4, cpuAtMost: 0.25 },
    { name: "HTTP heartbeat", transport: "http", method: "get", pickles: [heartbeat], rateAtLeast: 5, cpuAtMost: 0.2 },
  ];
  const figures: Figure[] = [];
  for (const transport of ["grpc", "http"] as const) figures.push(...(await figuresOver(transport, cases.filter((one) => one.transport === transport))));
  return figures;
}

async function figuresOver(transport: Transport, cases: readonly Case[]): Promise<Figure[]> {
  const measured = new Map<string, Measured[]>();
  const keyOf = (kind: MasterKind, { name }: Case): string => `${kind} ${name}`;
  for (const kind of ["stock", "drover"] as const) {
    const master: Master = await Masters.start(kind, transport, inFlight);
    try {
      await underLoad(master, transport, { warmUpMs: 0, measureMs: 0, work: { type: "join", nodes: inFlight } });
      for (const one of cases) {
        const results: Measured[] = [];
        for (let run = 0; run < runs; run += 1) {
          const work = { type: "calls", method: one.method, pickles: one.pickles, inFlight, connections } as const;
          results.push(await underLoad(master, transport, { warmUpMs: run === 0 ? 6_000 : 300, measureMs: 2_000, work }));
        }
        measured.set(keyOf(kind, one), results);
      }
    } finally {
      await master.close();
    }
  }
  return cases.flatMap((one) => {
    const of = (kind: MasterKind, part: keyof Measured): number[] => (measured.get(keyOf(kind, one)) ?? []).map((result) => Number(result[part]));
    const figure = (label: string, unit: string, part: keyof Measured, mustReach: Figure["mustReach"]): Figure =>
      figureOf(`${one.name}: ${label}`, unit, of("drover", part), { name: "DLRover's master", runs: of("stock", part) }, mustReach);
    return [
      figure("calls", "1/s", "ratePerSecond", { atLeast: one.rateAtLeast }),
      figure("processor time of the master", "s per 1,000", "cpuSecondsPerThousand", { atMost: one.cpuAtMost }),
      figure("median", "ms", "p50Ms", {}),
      figure("p99", "ms", "p99Ms", {}),
    ];
  });
}
