/** Requests of DLRover's agents and clients that concern keys, syncs, versions, configurations and the network check. */

import type { NodeRecord } from "../job-record.js";
import { type Ledger, isOver } from "../ledger.js";
import { isLive } from "../node-state.js";
import { standInFor } from "./abandoned-keys.js";
import { listRunning, membersOfWorld, roundOfWorld, runningWorkers } from "./agent-requests.js";
import { peerId } from "./agent-rules.js";
import * as book from "./cluster-book.js";
import type { AnyDlroverAnswer, DlroverRequest, Sender } from "./dlrover-request.js";
import * as keys from "./key-store.js";
import * as check from "./network-check.js";
import { sharedOf } from "./peer-leaves.js";
import * as syncs from "./sync-service.js";

type Of<Type extends DlroverRequest["type"]> = Extract<DlroverRequest, { type: Type }>;

export function nodeUnit({ job }: Ledger): number {
  return job.spec?.roles.find(({ role }) => role === "worker")?.nodes.unit ?? 1;
}

/** The limits of a world are those of a check. Who is awaited is looked for when it is asked: while too few have joined, nobody asks. */
export function checkLimits({ job }: Ledger): check.CheckLimits {
  const { min, max, unit } = job.spec?.roles.find(({ role }) => role === "worker")?.nodes ?? { min: 1, max: 1, unit: 1 };
  const { waiting, round } = job.dlrover.check;
  let known: ReadonlySet<string> | null = null;
  const find = (): ReadonlySet<string> => {
    const waits = new Set([...waiting.values()].map(({ peer }) => peer));
    const isAwaited = ({ id, state, hasAgent }: NodeRecord): boolean => isLive(state) && hasAgent && !waits.has(id);
    return new Set([...job.nodes.values()].filter(isAwaited).map(({ id }) => id));
  };
  return {
    min,
    max,
    unit,
    lastCallMs: job.spec?.rendezvous.lastCallMs ?? 0,
    isOpen: round === 0 && job.spec?.agents.isExternal === true,
    get awaited() {
      return (known ??= find());
    },
  };
}

export function answerKeys(ledger: Ledger, sender: Sender, request: Of<"add-key" | "get-keys" | "set-keys">): AnyDlroverAnswer {
  const shared = sharedOf(ledger);
  switch (request.type) {
    case "add-key":
      return { value: keys.addOnce(shared, peerId(sender), request.key, request.value) };
    case "get-keys":
      return { values: request.keys.map((key) => (keys.isMissing(shared, key) ? standInFor(ledger.job, key) : null) ?? keys.getKey(shared, key)) };
    case "set-keys":
      return { isOk: keys.setKeys(shared, request.pairs) };
  }
}

export function answerSyncs(ledger: Ledger, sender: Sender, request: Of<"join-sync" | "finish-sync" | "barrier" | "sync-checkpoint" | "sync-port">): AnyDlroverAnswer {
  const shared = sharedOf(ledger);
  const peer = peerId(sender);
  switch (request.type) {
    case "join-sync":
      syncs.joinSync(shared, request.sync, peer, runningWorkers(ledger));
      return { isOk: true };
    case "finish-sync":
      return { isOk: syncs.isSyncFinished(shared, request.sync) };
    case "barrier":
      return { isOk: syncs.passBarrier(shared, request.barrier, request.isNotify) };
    case "sync-checkpoint":
      return { isOk: syncs.syncCheckpoint(shared, peer, request.step, { round: roundOfWorld(ledger), members: membersOfWorld(ledger) }) };
    case "sync-port":
      return syncs.settlePort(shared, peer, request.port, runningWorkers(ledger));
  }
}

type OfCluster = Of<"list-ps" | "get-version" | "set-version" | "get-config" | "set-config" | "take-hardware-reset" | "set-address" | "ps-ready">;

export function answerCluster(ledger: Ledger, sender: Sender, request: OfCluster): AnyDlroverAnswer {
  const shared = sharedOf(ledger);
  switch (request.type) {
    case "list-ps": {
      const nodes = book.listServers(shared, listRunning(ledger));
      return { nodes, isNewReady: nodes.length > 0, hasFailed: false };
    }
    case "get-version":
      return { version: book.versionOf(shared, request.kind, request.taskType, request.taskId) };
    case "set-version":
      return { isOk: book.setVersion(shared, request) };
    case "get-config":
      return { config: book.configOf(shared, peerId(sender)) };
    case "set-config":
      book.setConfig(shared, peerId(sender), request.config);
      return { isOk: true };
    case "set-address":
      book.setAddress(shared, peerId({ type: request.nodeType, id: request.id }), request.address);
      return { isOk: true };
    case "take-hardware-reset":
      return { isRestart: false }; // Nobody resets hardware here.
    case "ps-ready":
      return { isOk: true };
  }
}

export function answerCheck(ledger: Ledger, request: Of<"get-network-faults" | "get-stragglers">): AnyDlroverAnswer {
  const shared = sharedOf(ledger);
  return request.type === "get-stragglers" ? check.networkStragglers(shared) : check.networkFaults(shared);
}

/** Begins the check if it is time to, which is the same for all that wait for it. */
export function considerCheck(ledger: Ledger): void {
  if (!isOver(ledger)) check.beginIfDue(sharedOf(ledger), checkLimits(ledger));
}

/** Null while the check of this rank has not begun. */
export function worldOfCheck(ledger: Ledger, rank: number): check.CheckWorld | null {
  return isOver(ledger) ? null : check.worldOfCheck(sharedOf(ledger), rank, checkLimits(ledger));
}
