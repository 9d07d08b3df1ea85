/** Versions and addresses of parameter servers and workers, and what data loaders and optimizers are to be set to. */

import type { DlroverLedger } from "./dlrover-ledger.js";
import { versionKey } from "./dlrover-record.js";
import type { ParallelConfig, PeerNode } from "./dlrover-request.js";

/** What was never set is 0; of a worker's RESTORED -1. */
export function versionOf({ record }: DlroverLedger, kind: string, taskType: string, taskId: number): number {
  const unset = kind === "RESTORED" && taskType === "worker" ? -1 : 0;
  return record.versions.get(versionKey(kind, taskType, taskId)) ?? unset;
}

export function setVersion(ledger: DlroverLedger, told: Readonly<{ kind: string; taskType: string; taskId: number; version: number }>): boolean {
  const { kind, taskType, taskId, version } = told;
  if (!["GLOBAL", "LOCAL", "RESTORED"].includes(kind)) return false;
  if (versionOf(ledger, kind, taskType, taskId) !== version) ledger.emit({ type: "version-set", kind, taskType, taskId, version });
  return true;
}

export function setAddress(ledger: DlroverLedger, peer: string, address: string): void {
  if (ledger.record.addresses.get(peer) !== address) ledger.emit({ type: "peer-address-set", peer, address });
}

/** Parameter servers with their addresses, by rank. All that live are the cluster: they are new until the workers say that they use them. */
export function listServers({ record }: DlroverLedger, running: readonly PeerNode[]): PeerNode[] {
  const servers = running.filter(({ type }) => type === "ps").sort((a, b) => a.rank - b.rank);
  return servers.map((node) => ({ ...node, address: record.addresses.get(`${node.type}-${node.id}`) ?? node.address }));
}

/** A new version only where something has changed: clients act on a version that grows. */
export function setConfig(ledger: DlroverLedger, peer: string, config: ParallelConfig): void {
  if (JSON.stringify(ledger.record.configs.get(peer)) !== JSON.stringify(config)) ledger.emit({ type: "config-set", peer, config });
}

/** As its worker told it, or that of worker 0, which speaks for all. */
export function configOf({ record }: DlroverLedger, peer: string): ParallelConfig | null {
  return record.configs.get("worker-0") ?? record.configs.get(peer) ?? null;
}
