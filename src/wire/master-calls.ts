/**
 * What the API asks of the master's components, as functions: the one thing that the routes know of what is behind them.
 *
 * `actors/master-service.ts` makes them out of messages; `src` does not know who plays which part.
 */

import type { z } from "zod";
import type { NodeDesired } from "../job/assignment.js";
import type { DatasetSpec, ShardRange } from "../job/dataset.js";
import type { DlroverAnswer, DlroverRequest, NodeAction, Sender } from "../job/dlrover/dlrover-request.js";
import type { Finding } from "../job/finding.js";
import type { JobSpec, Role } from "../job/job-spec.js";
import type { EndReason, Stage } from "../job/stage.js";
import type { WorldView } from "../job/world-view.js";
import type { CellInspection } from "../runtime/actor-cell.js";
import type { HostCounters } from "../runtime/thread-control.js";
import type { StoreInspection } from "../store/journal-messages.js";
import type { joinBody, probeBody, progressBody, ranksBody, registerBody } from "./agent-api.js";

/** An answer that is no: expected, with a code of docs/errors.md. */
export type Refusal = Readonly<{ ok: false; code: string; message: string }>;

export type CallOptions = Readonly<{
  /** Default 10,000. */
  deadlineMs?: number;
  /** Sent again with the same id, the call is answered from memory. */
  requestId?: string | null;
}>;

type OfNode<Body extends z.ZodType> = Readonly<{ node: string }> & z.infer<Body>;
type Done = Readonly<{ ok: true }> | Refusal;

export type Registered = Readonly<{ ok: true; spec: JobSpec; role: Role; nodeRank: number; heartbeatIntervalMs: number }>;
export type Leased =
  | Readonly<{ ok: true; status: "shard"; task: Readonly<{ taskId: number; epoch: number; shard: ShardRange }> }>
  | Readonly<{ ok: true; status: "wait" | "done" }>;
export type LeaseRequest = Readonly<{ dataset: string; worker: string; node: string; request: string; waitMs: number }>;
export type ShardEnd = Readonly<{ dataset: string; taskId: number; worker: string; isOk: boolean; message: string }>;
export type DatasetState = Readonly<{
  name: string;
  kind: DatasetSpec["kind"];
  size: number;
  shardSize: number;
  epoch: number;
  epochs: number;
  todo: number;
  doing: number;
  done: number;
  recordsDone: number;
  failures: number;
}>;
export type JobState = Readonly<{ job: string; stage: Stage; reason: EndReason | null; createdAtMs: number; endedAtMs: number | null }>;
export type RuntimeState = Readonly<{
  actors: readonly (CellInspection & Readonly<{ restarts: number }>)[];
  counters: HostCounters;
  threads: number;
}>;

/** Each rejects with `AskError` when the runtime got no answer. */
export interface MasterCalls {
  registerAgent(agent: OfNode<typeof registerBody>): Promise<Registered | Refusal>;
  joinRound(join: OfNode<typeof joinBody>): Promise<Done>;
  reportRanks(report: OfNode<typeof ranksBody>): Promise<Done>;
  reportProgress(report: OfNode<typeof progressBody>): Promise<Done>;
  reportProbe(report: OfNode<typeof probeBody>): Promise<Done>;
  awaitDesired(
    poll: Readonly<{ node: string; agentId: string; revision: number; waitMs: number }>,
    options: CallOptions,
  ): Promise<Readonly<{ ok: true; desired: NodeDesired }> | Refusal>;
  agentDisconnected(agent: Readonly<{ node: string; agentId: string }>): void;

  registerDataset(dataset: DatasetSpec): Promise<Readonly<{ ok: true; isNew: boolean }> | Refusal>;
  leaseShard(request: LeaseRequest, options: CallOptions): Promise<Leased | Refusal>;
  finishShard(end: ShardEnd): Promise<Done>;
  checkpointDataset(dataset: string): Promise<Readonly<{ ok: true; content: string }> | Refusal>;
  restoreDataset(checkpoint: Readonly<{ dataset: string; content: string }>, options: CallOptions): Promise<Done>;
  extendStream(extent: Readonly<{ dataset: string; size: number; isEnd: boolean }>): Promise<Done>;
  listDatasets(): Promise<Readonly<{ datasets: readonly DatasetState[] }>>;

  getJob(options?: CallOptions): Promise<JobState>;
  getWorld(options?: CallOptions): Promise<WorldView>;
  stopJob(wish: Readonly<{ because: string; isKill: boolean }>, options: CallOptions): Promise<Done>;
  pauseJob(wish: Readonly<{ because: string }>, options: CallOptions): Promise<Done>;
  resumeJob(options: CallOptions): Promise<Done>;
  scaleJob(
    wish: Readonly<{ nodes: number; because: string }>,
    options: CallOptions,
  ): Promise<Readonly<{ ok: true; from: number; to: number }> | Refusal>;
  actOnNode(wish: Readonly<{ node: string; action: NodeAction; because: string }>, options: CallOptions): Promise<Done>;
  askDlrover<Type extends DlroverRequest["type"]>(
    sender: Sender,
    request: Extract<DlroverRequest, { type: Type }>,
    options?: CallOptions,
  ): Promise<DlroverAnswer<Type>>;
  listFindings(): Promise<Readonly<{ findings: readonly Finding[] }>>;

  inspectRuntime(options: CallOptions): Promise<RuntimeState>;
  inspectStore(options: CallOptions): Promise<StoreInspection>;
}
