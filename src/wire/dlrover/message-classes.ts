/**
 * DLRover's messages as one table: each class of `dlrover.python.common.comm` (0.6.1) with its fields, their kinds and defaults, in the order in
 * which Python writes them.
 */

import { bool, bytes, dict, type Field, type Fields, float, int, kv, list, object, text, type ValuesOf } from "./message-fields.js";

function inner<Of extends Fields>(cls: string, fields: Of): Field<ValuesOf<Of>> {
  return object(cls, fields);
}

const shard = { name: text(), start: int(), end: int(), indices: list(int()) };
const gPUStats = { index: int(), total_memory_mb: int(), used_memory_mb: int(), gpu_utilization: float() };
const tensorStats = { variable_count: int(), total_variable_size: int(), max_variable_size: int(), kv_embedding_dims: list(int()) };
const opStats = { op_count: int(), update_op_count: int(), read_op_count: int(), input_fetch_dur: int(), flops: int(), op_type: int() };
const nodeMeta = { type: text(), addr: text(), memory: int(), cpu: float(), gpu: int(), gpu_type: text(), id: int(), rank: int(), status: text() };
const dataLoaderConfig = { version: int(), dataloader_name: text(), last_batch_size: int(), batch_size: int(), num_workers: int(), pin_memory: int() };
const optimizerConfig = { version: int(), optimizer_name: text(), learning_rate: float(), weight_decay: float() };
const diagnosisAction = { action_cls: text(), action_content: text() };

export const messageClasses = {
  BaseRequest: { node_id: int(-1), node_type: text(), data: bytes() },
  BaseResponse: { success: bool(), data: bytes() },
  TaskRequest: { dataset_name: text() },
  Shard: shard,
  Task: { task_id: int(), shard: inner("Shard", shard), type: int(), extended_config: dict(text(), text()) },
  GPUStats: gPUStats,
  TensorStats: tensorStats,
  OpStats: opStats,
  ModelInfo: { tensor_stats: inner("TensorStats", tensorStats), op_stats: inner("OpStats", opStats), instantiation_memory: int(), activation_memory: int() },
  ResourceStats: { memory: int(), cpu: float(), gpu_stats: list(inner("GPUStats", gPUStats)) },
  GlobalStep: { timestamp: int(), step: int(1), elapsed_time_per_step: float() },
  HeartBeat: { timestamp: int() },
  AtorchEvent: { timestamp: int(), target: text(), name: text(), type: text(), step: int() },
  PreCheckRequest: { timestamp: int(), type: text("INITIAL") },
  PreCheckResponse: { status: text(), reason: text() },
  DatasetShardParams: {
    batch_size: int(),
    num_epochs: int(),
    dataset_size: int(),
    shuffle: bool(),
    num_minibatches_per_shard: int(),
    dataset_name: text(),
    task_type: int(),
    storage_type: text(),
  },
  ShardCheckpointRequest: { dataset_name: text() },
  ShardCheckpoint: { content: text() },
  TaskResult: { dataset_name: text(), task_id: int(), err_message: text(), exec_counters: dict(text(), int()) },
  SyncJoin: { sync_name: text() },
  SyncFinish: { sync_name: text() },
  SyncBarrier: { barrier_name: text(), notify: bool() },
  PsReady: {},
  ClusterVersionRequest: { task_type: text(), task_id: int(), version_type: text() },
  ClusterVersion: { task_type: text(), task_id: int(), version_type: text(), version: int() },
  NodeMeta: nodeMeta,
  NodeAddress: { type: text(), addr: text(), memory: int(), cpu: float(), gpu: int(), gpu_type: text(), id: int(), rank: int(), status: text() },
  NodeEvent: { event_type: text(), event_message: text(), event_time: float(), event_elapsed_time: float(), node: inner("NodeMeta", nodeMeta) },
  NodeFailure: { error_data: text(), restart_count: int(), level: text() },
  RendezvousParams: { min_nodes: int(), max_nodes: int(), waiting_timeout: int(), node_unit: int(), join_timeout: int() },
  RendezvousRequest: { node_id: int(), local_world_size: int(), rdzv_name: text() },
  CommWorldRequest: { node_id: int(), local_world_size: int(), rdzv_name: text() },
  JoinRendezvousRequest: { node_id: int(), local_world_size: int(), rdzv_name: text(), node_rank: int(-1), node_ip: text() },
  WaitingNodeNumRequest: { node_id: int(), local_world_size: int(), rdzv_name: text() },
  NetworkReadyRequest: {},
  StragglerExistRequest: {},
  NetworkCheckResult: { nodes: list(int()), reason: text() },
  RendezvousState: { world: dict(int(), int()), waiting_num: int(), round: int(), group: int() },
  PsNodesRequest: {},
  PsNodes: { nodes: list(inner("NodeMeta", nodeMeta)), new_ps_ready: bool(), ps_failure: bool() },
  TrainingStatusRequest: {},
  TrainingStatus: { status: int() },
  RunningNodesRequest: {},
  RunningNodes: { nodes: list(inner("NodeMeta", nodeMeta)) },
  KeyValuePair: { key: text(), value: kv(), op: text() },
  KeyValuePairs: { kvs: dict(text(), kv()), op: text() },
  DataLoaderConfig: dataLoaderConfig,
  OptimizerConfig: optimizerConfig,
  ParallelConfigRequest: {},
  CheckHardwareResetRequest: {},
  ParallelConfig: { dataloader: inner("DataLoaderConfig", dataLoaderConfig), optimizer: inner("OptimizerConfig", optimizerConfig), restart: bool() },
  NodeCheckpointState: { step: int() },
  DiagnosisReportData: { data_cls: text(), data_content: text(), node_rank: int(-1) },
  SyncTrainingPort: { port: int(), newport: int() },
  ElasticRunConfigRequest: {},
  ElasticRunConfig: { configs: dict(text(), text()) },
  Event: { event_type: text(), instance: text(), action: text(), msg: text(), labels: dict(text(), text()) },
  DiagnosisAction: diagnosisAction,
  HeartbeatResponse: { action: inner("DiagnosisAction", diagnosisAction) },
} as const;

export type MessageName = keyof typeof messageClasses;
/** The fields of a message, by their names on the wire; dicts are pairs. */
export type MessageOf<Name extends MessageName> = ValuesOf<(typeof messageClasses)[Name]>;
export type Message = { [Name in MessageName]: Readonly<{ cls: Name; fields: MessageOf<Name> }> }[MessageName];
