/** What has happened to what is DLRover's alone: keys, network checks, syncs, versions, actions. Part of the job's history. */

import type { KvValue, NodeAction, ParallelConfig, WireAction } from "./dlrover-request.js";

type Fact<Type extends string, Fields extends object> = Readonly<{ type: Type } & Fields>;

export type DlroverEvent =
  | Fact<"keys-set", { pairs: readonly (readonly [key: string, value: KvValue])[] }>
  /** A barrier of torchelastic's has counted this peer, as the `value`-th. */
  | Fact<"member-counted", { key: string; peer: string; value: KvValue }>
  /** Keys of a round, once newer rounds have keys of their own. */
  | Fact<"keys-dropped", { prefix: string }>
  | Fact<"network-check-joined", { peer: string; rank: number; nproc: number; atMs: number }>
  | Fact<"network-check-left", { peer: string; rank: number; because: string }>
  | Fact<"network-check-grouped", { round: number; ranks: readonly number[]; groups: readonly (readonly number[])[]; because: string }>
  /** The rank was told its group. */
  | Fact<"network-check-taken", { rank: number }>
  | Fact<"network-check-reported", { rank: number; isOk: boolean; seconds: number }>
  | Fact<"network-check-judged", { round: number; faults: readonly number[]; stragglers: readonly number[]; because: string }>
  | Fact<"sync-begun", { sync: string; awaited: readonly string[]; atMs: number }>
  | Fact<"sync-joined", { sync: string; peer: string }>
  | Fact<"barrier-opened", { barrier: string }>
  | Fact<"checkpoint-step-noted", { peer: string; step: number; round: number }>
  | Fact<"port-proposed", { peer: string; port: number }>
  | Fact<"ports-settled", { port: number; newPort: number }>
  | Fact<"version-set", { taskType: string; taskId: number; kind: string; version: number }>
  | Fact<"peer-address-set", { peer: string; address: string }>
  | Fact<"config-set", { peer: string; config: ParallelConfig }>
  | Fact<"action-queued", { peer: string; action: NodeAction; wire: WireAction; because: string; expiresAtMs: number }>
  | Fact<"action-taken" | "action-expired", { peer: string; action: NodeAction; atSeconds: number }>
  | Fact<"peer-left", { peer: string; because: string }>
  | Fact<"agent-noted", { peer: string; name: string; fields: string }>;
