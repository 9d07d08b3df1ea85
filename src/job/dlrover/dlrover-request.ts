/**
 * What DLRover's agents and clients ask of the Job Manager, decoded and named in the words of Drover. The Master Service makes these out of
 * DLRover's messages (src/wire/dlrover) and its answers out of what is answered; shards are asked of the Task Manager.
 *
 * Times in names are milliseconds unless they say seconds.
 */

import type { NodeUse } from "../world-view.js";

/** Who sent a message, as its envelope says: NODE_TYPE and NODE_ID of the process. All processes of a node say the same. */
export type Sender = Readonly<{ type: string; id: number }>;

/** The two rendezvous that an agent takes part in, by their names on the wire; an unknown name is answered neutrally. */
export type RendezvousName = "elastic-training" | "network-check";

/** A value of the key-value store: int (bigint outside ±2^53), bytes, str; anything else as the pickle that it came in. */
export type KvValue = number | bigint | Uint8Array | string | Readonly<{ pickle: Uint8Array }>;

export type PeerNode = Readonly<{
  type: string;
  id: number;
  rank: number;
  address: string;
  status: string;
  cpu: number;
  memoryMib: number;
  gpu: number;
  gpuType: string;
}>;

/** What the agent's data loaders and optimizer should be set to; what is not known is 0 or "". */
export type ParallelConfig = Readonly<{
  dataloader: Readonly<{ version: number; name: string; lastBatchSize: number; batchSize: number; numWorkers: number; pinMemory: number }>;
  optimizer: Readonly<{ version: number; name: string; learningRate: number; weightDecay: number }>;
  isRestart: boolean;
}>;

/** What a person may tell the agent of a node to do. */
export type NodeAction = "restart" | "relaunch" | "event";

/** An action that a heartbeat carries back, as the agent's own class names and constructor arguments (DLROVER.md 3.7). */
export type WireAction = Readonly<{ cls: string; content: string }>;

/** Asks with an answer of their own. */
export type DlroverQuestions = {
  "pre-check": [object, Readonly<{ status: "CHECKING" | "FAIL" | "PASS" | "DISABLED"; reason: string }>];
  /** `rank`: NODE_RANK, or the node id where the agent sent -1. Answered with the newest round that was sealed, 0 for none. */
  "join-rendezvous": [{ rendezvous: RendezvousName; nodeId: number; rank: number; nproc: number; address: string }, Readonly<{ round: number }>];
  /** Answered when the world of `rank` is known, or after `waitMs` with an empty one. `world`: as packed-world.ts packs it. */
  "get-world": [{ rendezvous: RendezvousName; rank: number; waitMs: number }, Readonly<{ round: number; group: number; world: Uint8Array }>];
  /** -1 while the job stops. */
  "count-waiting": [{ rendezvous: RendezvousName }, Readonly<{ count: number }>];
  "get-network-faults": [object, Readonly<{ nodes: readonly number[]; reason: string }>];
  "get-stragglers": [object, Readonly<{ nodes: readonly number[]; reason: string }>];
  "list-running": [object, Readonly<{ nodes: readonly PeerNode[] }>];
  "heartbeat": [{ atSeconds: number }, Readonly<{ action: WireAction | null }>];
  "add-key": [{ key: string; value: KvValue }, Readonly<{ value: KvValue }>];
  /** Answered when every key is there, or after `waitMs`. null: the key is not there. */
  "get-keys": [{ keys: readonly string[]; waitMs: number }, Readonly<{ values: readonly (KvValue | null)[] }>];
  "list-ps": [object, Readonly<{ nodes: readonly PeerNode[]; isNewReady: boolean; hasFailed: boolean }>];
  "get-version": [{ taskType: string; taskId: number; kind: string }, Readonly<{ version: number }>];
  "get-config": [object, Readonly<{ config: ParallelConfig | null }>];
  "take-hardware-reset": [object, Readonly<{ isRestart: boolean }>];
  "sync-port": [{ port: number }, Readonly<{ port: number; newPort: number }>];
};

/** Reports: answered yes or no. */
export type DlroverReports = {
  "node-event": { event: string; message: string; elapsedSeconds: number; node: Readonly<{ type: string; id: number; rank: number; address: string }> };
  "set-rendezvous": { min: number; max: number; unit: number; lastCallSeconds: number; joinTimeoutSeconds: number };
  "node-failure": { errorText: string; restartCount: number; level: string };
  "use-resources": NodeUse;
  "note-step": { step: number; atSeconds: number; secondsPerStep: number };
  "note-training-event": { target: string; name: string; kind: string; step: number; atSeconds: number };
  /** A report that Drover has no use for yet; it becomes an event. `fields`: what JSON can say of it, at most 16 KiB. */
  "note": { name: string; fields: string };
  "set-keys": { pairs: readonly (readonly [key: string, value: KvValue])[] };
  "set-config": { config: ParallelConfig };
  /** Yes once every node of the newest world is at this step. */
  "sync-checkpoint": { step: number };
  "join-sync": { sync: string };
  /** Yes once all have joined. */
  "finish-sync": { sync: string };
  "barrier": { barrier: string; isNotify: boolean };
  "set-version": { taskType: string; taskId: number; kind: string; version: number };
  "set-address": { nodeType: string; id: number; address: string };
  "ps-ready": object;
};

type QuestionOf<Type extends keyof DlroverQuestions> = Readonly<{ type: Type } & DlroverQuestions[Type][0]>;
type ReportOf<Type extends keyof DlroverReports> = Readonly<{ type: Type } & DlroverReports[Type]>;

export type DlroverQuestion = { [Type in keyof DlroverQuestions]: QuestionOf<Type> }[keyof DlroverQuestions];
export type DlroverReport = { [Type in keyof DlroverReports]: ReportOf<Type> }[keyof DlroverReports];
export type DlroverRequest = DlroverQuestion | DlroverReport;

/** What a request is answered with. */
export type DlroverAnswer<Type extends DlroverRequest["type"]> = Type extends keyof DlroverQuestions ? DlroverQuestions[Type][1] : Readonly<{ isOk: boolean }>;
export type AnyDlroverAnswer = DlroverQuestions[keyof DlroverQuestions][1] | Readonly<{ isOk: boolean }>;
