/** Where DLRover's workers wait for each other: syncs, barriers, checkpoint steps, training ports. Unknown names are no, never an error. */

import type { DlroverLedger } from "./dlrover-ledger.js";

/** A sync that is older waits for nobody any more. */
const syncMsMax = 3_600_000;

/** The first who joins says for whom there is to be waited: all that run then. */
export function joinSync(ledger: DlroverLedger, sync: string, peer: string, running: readonly string[]): void {
  const { record, nowMs } = ledger;
  const known = record.syncs.get(sync);
  if (!known) ledger.emit({ type: "sync-begun", sync, awaited: running, atMs: nowMs });
  if (record.syncs.get(sync)?.awaited.has(peer) === true) ledger.emit({ type: "sync-joined", sync, peer });
}

export function isSyncFinished({ record, nowMs }: DlroverLedger, sync: string): boolean {
  const known = record.syncs.get(sync);
  return known !== undefined && (known.awaited.size === 0 || nowMs - known.atMs > syncMsMax);
}

/** Opens it, or says whether it is open. */
export function passBarrier(ledger: DlroverLedger, barrier: string, isNotify: boolean): boolean {
  if (isNotify && !ledger.record.barriers.has(barrier)) ledger.emit({ type: "barrier-opened", barrier });
  return ledger.record.barriers.has(barrier);
}

/** Yes once every node of the world of this round is at the same step; what was told in an older round does not count. */
export function syncCheckpoint(ledger: DlroverLedger, peer: string, step: number, world: Readonly<{ round: number; members: readonly string[] }>): boolean {
  const { checkpoints } = ledger.record;
  const isKnown = checkpoints.round === world.round && checkpoints.steps.get(peer) === step;
  if (!isKnown) ledger.emit({ type: "checkpoint-step-noted", peer, step, round: world.round });
  const { steps } = ledger.record.checkpoints;
  return world.members.length > 0 && world.members.every((member) => steps.get(member) === step);
}

export type Ports = Readonly<{ port: number; newPort: number }>;

/** When all nodes propose the same port it is that one; where they differ, all are told the largest and propose again. */
export function settlePort(ledger: DlroverLedger, peer: string, port: number, running: readonly string[]): Ports {
  const { ports } = ledger.record;
  if (ports.port > 0) return { port: ports.port, newPort: 0 };
  if (port < ports.newPort) return { port: 0, newPort: ports.newPort };
  if (ports.proposed.get(peer) !== port) ledger.emit({ type: "port-proposed", peer, port });
  const { proposed } = ledger.record.ports;
  if (!running.every((node) => proposed.has(node))) return { port: 0, newPort: 0 };
  const [largest, isSame] = [Math.max(...proposed.values()), new Set(proposed.values()).size === 1];
  ledger.emit({ type: "ports-settled", port: isSame ? largest : 0, newPort: isSame ? 0 : largest });
  return isSame ? { port: largest, newPort: 0 } : { port: 0, newPort: largest };
}
