/** What the generator of load is asked for and what it says of it: the messages between a benchmark and load-generator.ts. */

import type { Method, Transport } from "./load-connection.js";

/** One request that is sent again and again; `pickles` in turn, each as the node of the lane or as the node `nodeId`. */
export type Calls = Readonly<{ type: "calls"; method: Method; pickles: readonly string[]; inFlight: number; connections: number }>;
/** Workers that take shards and report them done. */
export type Shards = Readonly<{ type: "shards"; dataset: string; workers: number }>;
/** Stock agents in steady training, open loop: WaitingNodeNum ten times a second, a heartbeat every 15 s; over HTTP a connection a call. */
export type Agents = Readonly<{ type: "agents"; agents: number; waiting: string; heartbeat: string }>;
/** `nodes` agents join at once; when all have, each asks for the world until it holds it. */
export type Join = Readonly<{ type: "join"; nodes: number }>;

export type LoadPlan = Readonly<{ transport: Transport; port: number; warmUpMs: number; measureMs: number; work: Calls | Shards | Agents | Join }>;

export type LoadEvent = Readonly<{ type: "began" }> | (Readonly<{ type: "ended" }> & LoadResult);

export type LoadResult = Readonly<{
  count: number;
  elapsedMs: number;
  p50Ms: number;
  p99Ms: number;
  maxMs: number;
  failed: number;
  firstError: string;
  /** How late the generator itself was at p99 (open loop only). */
  lateMs: number;
  /** What the generator itself took. */
  cpuSeconds: number;
}>;
