/** The messages that concern nodes, worlds, keys, syncs, versions and actions: asked of the Job Manager in the words of dlrover-request.ts. */

import type { DlroverReport, ParallelConfig, PeerNode, RendezvousName } from "../../job/dlrover/dlrover-request.js";
import type { MessageOf } from "./message-classes.js";
import { writeMessage } from "./message-codec.js";
import { type Caller, get, report, type Row } from "./row.js";
import { WorldPickles } from "./world-pickles.js";

/** A request for a world is answered when the world is there, at the latest after this: the client asks again 5 s later. */
const worldWaitMs = 10_000;
/** The same for keys; the client asks again 2 s later. */
const keysWaitMs = 5_000;
/** Beyond the longest wait, an answer is late. */
const deadlineMs = 30_000;
const noteTextMax = 16 * 1024;

const rendezvousNames: readonly string[] = ["elastic-training", "network-check"] satisfies RendezvousName[];

function rendezvousOf(name: string): RendezvousName | null {
  return rendezvousNames.includes(name) ? (name as RendezvousName) : null;
}

async function ok(caller: Caller, request: DlroverReport): Promise<boolean> {
  return (await caller.master.askDlrover(caller.sender, request)).isOk;
}

/** A report that Drover has no use for yet: it becomes an event. */
async function note(name: string, fields: object, caller: Caller): Promise<boolean> {
  await ok(caller, { type: "note", name, fields: JSON.stringify(fields).slice(0, noteTextMax) });
  return true;
}

function metaOf(node: PeerNode): MessageOf<"NodeMeta"> {
  const { type, id, rank, address, status, cpu, memoryMib, gpu, gpuType } = node;
  return { type, addr: address, memory: memoryMib, cpu, gpu, gpu_type: gpuType, id, rank, status };
}

function configMessage(config: ParallelConfig | null): Partial<MessageOf<"ParallelConfig">> {
  if (!config) return {};
  const { dataloader: data, optimizer, isRestart } = config;
  return {
    dataloader: {
      version: data.version,
      dataloader_name: data.name,
      last_batch_size: data.lastBatchSize,
      batch_size: data.batchSize,
      num_workers: data.numWorkers,
      pin_memory: data.pinMemory,
    },
    optimizer: { version: optimizer.version, optimizer_name: optimizer.name, learning_rate: optimizer.learningRate, weight_decay: optimizer.weightDecay },
    restart: isRestart,
  };
}

function configOf({ dataloader: data, optimizer, restart }: MessageOf<"ParallelConfig">): ParallelConfig {
  return {
    dataloader: {
      version: data.version,
      name: data.dataloader_name,
      lastBatchSize: data.last_batch_size,
      batchSize: data.batch_size,
      numWorkers: data.num_workers,
      pinMemory: data.pin_memory,
    },
    optimizer: { version: optimizer.version, name: optimizer.optimizer_name, learningRate: optimizer.learning_rate, weightDecay: optimizer.weight_decay },
    isRestart: restart,
  };
}

const worlds = new WorldPickles();

const rendezvousRows: readonly Row[] = [
  get("ElasticRunConfigRequest", "ElasticRunConfig", () => ({})),
  get("PreCheckRequest", "PreCheckResponse", (_fields, { master, sender }) => master.askDlrover(sender, { type: "pre-check" })),
  report("RendezvousParams", (fields, caller) => {
    const { min_nodes: min, max_nodes: max, node_unit: unit, waiting_timeout: lastCallSeconds, join_timeout: joinTimeoutSeconds } = fields;
    return ok(caller, { type: "set-rendezvous", min, max, unit, lastCallSeconds, joinTimeoutSeconds });
  }),
  get("JoinRendezvousRequest", "RendezvousState", async (fields, { master, sender }) => {
    const rendezvous = rendezvousOf(fields.rdzv_name);
    if (!rendezvous) return {};
    const rank = fields.node_rank < 0 ? fields.node_id : fields.node_rank;
    const { node_id: nodeId, local_world_size: nproc, node_ip: address } = fields;
    return master.askDlrover(sender, { type: "join-rendezvous", rendezvous, nodeId, rank, nproc, address });
  }),
  {
    cls: "CommWorldRequest",
    method: "get",
    answer: "RendezvousState",
    handle: async (message, { master, sender }) => {
      const fields = message.fields as MessageOf<"CommWorldRequest">;
      const rendezvous = rendezvousOf(fields.rdzv_name);
      if (!rendezvous) return writeMessage("RendezvousState");
      return worlds.pickle(await master.askDlrover(sender, { type: "get-world", rendezvous, rank: fields.node_id, waitMs: worldWaitMs }, { deadlineMs }));
    },
  },
  get("WaitingNodeNumRequest", "RendezvousState", async (fields, { master, sender }) => {
    const rendezvous = rendezvousOf(fields.rdzv_name);
    if (!rendezvous) return {};
    return { waiting_num: (await master.askDlrover(sender, { type: "count-waiting", rendezvous })).count };
  }),
  get("NetworkReadyRequest", "NetworkCheckResult", (_fields, { master, sender }) => master.askDlrover(sender, { type: "get-network-faults" })),
  get("StragglerExistRequest", "NetworkCheckResult", (_fields, { master, sender }) => master.askDlrover(sender, { type: "get-stragglers" })),
  get("RunningNodesRequest", "RunningNodes", async (_fields, { master, sender }) => {
    return { nodes: (await master.askDlrover(sender, { type: "list-running" })).nodes.map(metaOf) };
  }),
  get("CheckHardwareResetRequest", "ParallelConfig", async (_fields, { master, sender }) => {
    return { restart: (await master.askDlrover(sender, { type: "take-hardware-reset" })).isRestart };
  }),
  get("SyncTrainingPort", "SyncTrainingPort", async ({ port }, { master, sender }) => {
    const answer = await master.askDlrover(sender, { type: "sync-port", port });
    return { port: answer.port, newport: answer.newPort };
  }),
];

const nodeRows: readonly Row[] = [
  report("NodeEvent", ({ event_type: event, event_message: message, event_elapsed_time: elapsedSeconds, node }, caller) => {
    const { type, id, rank, addr: address } = node;
    return ok(caller, { type: "node-event", event, message, elapsedSeconds, node: { type, id, rank, address } }).then(() => true);
  }),
  report("NodeFailure", ({ error_data: errorText, restart_count: restartCount, level }, caller) => {
    return ok(caller, { type: "node-failure", errorText, restartCount, level }).then(() => true);
  }),
  get("HeartBeat", "HeartbeatResponse", async ({ timestamp }, { master, sender }) => {
    const { action } = await master.askDlrover(sender, { type: "heartbeat", atSeconds: timestamp });
    return { action: { action_cls: action?.cls ?? "NoAction", action_content: action?.content ?? noAction(timestamp) } };
  }),
  report("ResourceStats", ({ memory, cpu: cpuCores, gpu_stats }, caller) => {
    const gpus = gpu_stats.map(({ index, total_memory_mb: totalMib, used_memory_mb: usedMib, gpu_utilization: utilization }) => {
      return { index, totalMib, usedMib, utilization };
    });
    return ok(caller, { type: "use-resources", memoryBytes: memory * 2 ** 20, cpuCores, gpus });
  }),
  report("GlobalStep", ({ step, timestamp: atSeconds, elapsed_time_per_step: secondsPerStep }, caller) => {
    return ok(caller, { type: "note-step", step, atSeconds, secondsPerStep });
  }),
  report("AtorchEvent", ({ target, name, type: kind, step, timestamp: atSeconds }, caller) => {
    return ok(caller, { type: "note-training-event", target, name, kind, step, atSeconds });
  }),
  report("DiagnosisReportData", (fields, caller) => note("DiagnosisReportData", fields, caller)),
  report("ModelInfo", (fields, caller) => note("ModelInfo", fields, caller)),
  report("Event", ({ labels, ...fields }, caller) => note("Event", { ...fields, labels: Object.fromEntries(labels) }, caller)),
  get("ParallelConfigRequest", "ParallelConfig", async (_fields, { master, sender }) => configMessage((await master.askDlrover(sender, { type: "get-config" })).config)),
  report("ParallelConfig", (fields, caller) => ok(caller, { type: "set-config", config: configOf(fields) })),
  report("NodeCheckpointState", ({ step }, caller) => ok(caller, { type: "sync-checkpoint", step })),
];

/** What a stock agent is told when there is nothing to do: it must be told something. */
function noAction(timestamp: number): string {
  return JSON.stringify({ action_type: "no_action", instance: -3, timestamp, expired_time_period: 60_000, executable_time_period: 0 });
}

const noValue = new Uint8Array();

const keyRows: readonly Row[] = [
  report("KeyValuePair", ({ key, value }, caller) => ok(caller, { type: "set-keys", pairs: [[key, value]] })),
  get("KeyValuePair", "KeyValuePair", async ({ key, value, op }, { master, sender }) => {
    if (op === "add") return { key, value: (await master.askDlrover(sender, { type: "add-key", key, value })).value };
    const { values } = await master.askDlrover(sender, { type: "get-keys", keys: [key], waitMs: 0 });
    return { key, value: values[0] ?? noValue };
  }),
  report("KeyValuePairs", ({ kvs }, caller) => ok(caller, { type: "set-keys", pairs: kvs })),
  get("KeyValuePairs", "KeyValuePairs", async ({ kvs }, { master, sender }) => {
    const keys = kvs.map(([key]) => key);
    const { values } = await master.askDlrover(sender, { type: "get-keys", keys, waitMs: keysWaitMs }, { deadlineMs });
    const pairs = keys.map((key, at) => [key, values[at] ?? noValue] as const);
    return { kvs: pairs.every(([, value]) => !(value instanceof Uint8Array) || value.length > 0) ? pairs : [] };
  }),
];

const clusterRows: readonly Row[] = [
  report("SyncJoin", ({ sync_name: sync }, caller) => ok(caller, { type: "join-sync", sync })),
  report("SyncFinish", ({ sync_name: sync }, caller) => ok(caller, { type: "finish-sync", sync })),
  report("SyncBarrier", ({ barrier_name: barrier, notify: isNotify }, caller) => ok(caller, { type: "barrier", barrier, isNotify })),
  get("PsNodesRequest", "PsNodes", async (_fields, { master, sender }) => {
    const { nodes, isNewReady, hasFailed } = await master.askDlrover(sender, { type: "list-ps" });
    return { nodes: nodes.map(metaOf), new_ps_ready: isNewReady, ps_failure: hasFailed };
  }),
  report("PsReady", (_fields, caller) => ok(caller, { type: "ps-ready" })),
  get("ClusterVersionRequest", "ClusterVersion", async ({ task_type: taskType, task_id: taskId, version_type: kind }, { master, sender }) => {
    const { version } = await master.askDlrover(sender, { type: "get-version", taskType, taskId, kind });
    return { task_type: taskType, task_id: taskId, version_type: kind, version };
  }),
  report("ClusterVersion", ({ task_type: taskType, task_id: taskId, version_type: kind, version }, caller) => {
    return ok(caller, { type: "set-version", taskType, taskId, kind, version });
  }),
  report("NodeAddress", ({ type: nodeType, id, addr: address }, caller) => ok(caller, { type: "set-address", nodeType, id, address })),
];

export const jobRows: readonly Row[] = [...rendezvousRows, ...nodeRows, ...keyRows, ...clusterRows];
