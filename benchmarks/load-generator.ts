/**
 * A process of its own that loads a master, started by `underLoad`: plan in argv, LoadEvents to the parent.
 *
 * - G1  Nothing is decoded but what the next request needs (the id of a shard).
 * - G2  Between `began` and `ended` only the measured work is done; connections and encoded requests stand before.
 */

import { readMessage, writeMessage } from "../src/wire/dlrover/message-codec.js";
import { type Connection, encodeRequest, type Method, openConnection, pickleOf } from "./load-connection.js";
import type { Agents, Calls, Join, LoadEvent, LoadPlan, Shards } from "./load-plan.js";

const plan = JSON.parse(process.argv[2] ?? "") as LoadPlan;
const { transport } = plan;
const tell = (event: LoadEvent): void => void process.send?.(event);
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

let latencies: number[] = [];
let late: number[] = [];
let failed = 0;
let firstError = "";
let beganAt = 0;
let cpuAtBegin = process.cpuUsage();

function begin(): void {
  latencies = [];
  late = [];
  failed = 0;
  beganAt = performance.now();
  cpuAtBegin = process.cpuUsage();
  tell({ type: "began" });
}

function end(): void {
  const elapsedMs = performance.now() - beganAt;
  const { user, system } = process.cpuUsage(cpuAtBegin);
  const sorted = latencies.sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  const lateMs = late.sort((a, b) => a - b)[Math.floor(late.length * 0.99)] ?? 0;
  const cpuSeconds = (user + system) / 1e6;
  tell({ type: "ended", count: sorted.length, elapsedMs, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1), failed, firstError, lateMs, cpuSeconds });
}

async function timed(call: () => Promise<Buffer>, since = performance.now()): Promise<Buffer | null> {
  try {
    const answer = await call();
    latencies.push(performance.now() - since);
    return answer;
  } catch (error) {
    failed += 1;
    firstError ||= (error as Error).message;
    return null;
  }
}

function pool(count: number): Promise<Connection[]> {
  return Promise.all(Array.from({ length: count }, () => openConnection(transport, plan.port)));
}

/** The lanes run until the measured time is over; the first part of it warms up. */
async function closedLoop(lanes: number, lane: (index: number, isOver: () => boolean) => Promise<void>): Promise<void> {
  let isOver = false;
  const running = Array.from({ length: lanes }, (_, index) => lane(index, () => isOver));
  await sleep(plan.warmUpMs);
  begin();
  await sleep(plan.measureMs);
  end();
  isOver = true;
  await Promise.all(running);
}

async function calls(work: Calls): Promise<void> {
  const connections = await pool(transport === "http" ? work.inFlight : work.connections);
  const pickles = work.pickles.map((pickle) => Buffer.from(pickle, "base64"));
  const requests = Array.from({ length: work.inFlight }, (_, node) => pickles.map((pickle) => encodeRequest(transport, work.method, node, pickle)));
  await closedLoop(work.inFlight, async (index, isOver) => {
    const connection = connections[index % connections.length] as Connection;
    const own = requests[index] as Buffer[];
    for (let next = index; !isOver() && failed < 1_000; next += 1) await timed(() => connection.call(work.method, own[next % own.length] as Buffer));
  });
  for (const connection of connections) connection.close();
}

async function shards(work: Shards): Promise<void> {
  const connections = await pool(work.workers);
  const request = Array.from({ length: work.workers }, (_, node) => encodeRequest(transport, "get", node, writeMessage("TaskRequest", { dataset_name: work.dataset })));
  await closedLoop(work.workers, async (index, isOver) => {
    const connection = connections[index] as Connection;
    while (!isOver() && failed < 1_000) {
      const since = performance.now();
      const answer = await connection.call("get", request[index] as Buffer);
      const message = readMessage(pickleOf(transport, answer));
      if (message.cls !== "Task" || message.fields.task_id < 0) throw new Error("the dataset was too small for this load");
      const result = writeMessage("TaskResult", { dataset_name: work.dataset, task_id: message.fields.task_id });
      await timed(() => connection.call("report", encodeRequest(transport, "report", index, result)), since);
    }
  });
  for (const connection of connections) connection.close();
}

const waitingEachMs = 100;
const heartbeatEachMs = 15_000;

/** Calls are due at fixed times, and late ones are counted from when they were due. */
async function agents(work: Agents): Promise<void> {
  const count = work.agents;
  const kept = transport === "grpc" ? await pool(count) : [];
  const waiting = Buffer.from(work.waiting, "base64");
  const beat = Buffer.from(work.heartbeat, "base64");
  const waitingRequests = Array.from({ length: count }, (_, node) => encodeRequest(transport, "get", node, waiting));
  const beatRequests = Array.from({ length: count }, (_, node) => encodeRequest(transport, "get", node, beat));
  const open = new Map<number, number>();
  const call = async (node: number, request: Buffer): Promise<Buffer> => {
    if (transport === "grpc") return (kept[node] as Connection).call("get", request);
    const connection = await openConnection(transport, plan.port);
    try {
      return await connection.call("get", request);
    } finally {
      connection.close();
    }
  };
  const startedAt = performance.now();
  const perMs = count / waitingEachMs + count / heartbeatEachMs;
  const beatEvery = Math.round(perMs / (count / heartbeatEachMs));
  let sent = 0;
  let isMeasured = false;
  for (let now = startedAt; now - startedAt < plan.warmUpMs + plan.measureMs; now = performance.now()) {
    if (!isMeasured && now - startedAt >= plan.warmUpMs) {
      isMeasured = true;
      begin();
    }
    for (const due = (now - startedAt) * perMs; sent < due && open.size < 20_000; sent += 1) {
      const dueAt = startedAt + sent / perMs;
      late.push(now - dueAt);
      const node = sent % count;
      const id = sent;
      open.set(id, dueAt);
      const request = (sent % beatEvery === 0 ? beatRequests[node] : waitingRequests[node]) as Buffer;
      void timed(() => call(node, request), dueAt).then(() => open.delete(id));
    }
    await sleep(1);
  }
  // Not answered by the end: they count as they would if they were answered now.
  for (const dueAt of open.values()) latencies.push(performance.now() - dueAt);
  end();
  for (const connection of kept) connection.close();
  process.exit(0);
}

/**
 * As agents do (DLROVER.md 4.1): each greets, asks whether it may go on, says what world it wants and beats once; that is not measured, nor
 * on one master what it first loads for it. Then all join, ask whether others wait, and ask for the world until it is there. A master that
 * answers with an empty world is asked again after 100 ms (5 s by agents).
 */
async function join(work: Join): Promise<void> {
  const connections = await pool(work.nodes);
  const nodes = connections.map((connection, node) => ({ connection, node }));
  const name = "elastic-training";
  const world = { min_nodes: work.nodes, max_nodes: work.nodes, waiting_timeout: 60, node_unit: 1, join_timeout: 600 };
  const requestsOf = (node: number): Readonly<Record<"greeting" | "check" | "world" | "beat" | "join" | "waiting" | "take", Buffer>> => {
    const address = `10.0.${node >> 8}.${node & 255}`;
    const request = (method: Method, pickle: Buffer): Buffer => encodeRequest(transport, method, node, pickle);
    const rendezvous = { node_id: node, local_world_size: 8, rdzv_name: name };
    return {
      greeting: request("report", writeMessage("NodeEvent", { event_type: "WAIT_PRE_CHECK", node: { ...noNode, type: "worker", addr: address, id: node, rank: node } })),
      check: request("get", writeMessage("PreCheckRequest")),
      world: request("report", writeMessage("RendezvousParams", world)),
      beat: request("get", writeMessage("HeartBeat", { timestamp: Math.floor(Date.now() / 1_000) })),
      join: request("get", writeMessage("JoinRendezvousRequest", { ...rendezvous, node_rank: node, node_ip: address })),
      waiting: request("get", writeMessage("WaitingNodeNumRequest", { rdzv_name: "network-check" })),
      take: request("get", writeMessage("CommWorldRequest", { node_id: node, rdzv_name: name })),
    };
  };
  const all = nodes.map(({ connection, node }) => ({ connection, ...requestsOf(node) }));
  await Promise.all(
    all.map(async ({ connection, greeting, check, world: wish, beat }) => {
      await connection.call("report", greeting);
      await connection.call("get", check);
      await connection.call("report", wish);
      await connection.call("get", beat);
    }),
  );
  await sleep(work.nodes > 100 ? 500 : 0);
  begin();
  await Promise.all(
    all.map(async (agent) => {
      await agent.connection.call("get", agent.join);
      await agent.connection.call("get", agent.waiting);
    }),
  );
  await Promise.all(
    all.map(async ({ connection, take }) => {
      while (!isWhole(await connection.call("get", take), work.nodes)) await sleep(100);
      latencies.push(performance.now() - beganAt);
    }),
  );
  end();
  for (const connection of connections) connection.close();
}

const noNode = { type: "", addr: "", memory: 0, cpu: 0, gpu: 0, gpu_type: "", id: 0, rank: 0, status: "" };

/** G1: large worlds are told by their size; an empty one has some 150 bytes, and a node at least four more. */
function isWhole(answer: Buffer, nodes: number): boolean {
  const pickle = pickleOf(transport, answer);
  if (nodes > 100) return pickle.length > 4 * nodes;
  const message = readMessage(pickle);
  const state = message.cls === "BaseResponse" ? readMessage(message.fields.data) : message;
  return state.cls === "RendezvousState" && state.fields.world.length === nodes;
}

const { work } = plan;
await (work.type === "calls" ? calls(work) : work.type === "shards" ? shards(work) : work.type === "agents" ? agents(work) : join(work));
process.disconnect();
