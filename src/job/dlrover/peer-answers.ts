/** Where each request of DLRover's agents and clients is answered, and what one that has to wait waits for. */

import type { JobEvent } from "../job-event.js";
import { trainers } from "../job-record.js";
import { type Ledger, isActive, isOver } from "../ledger.js";
import { queueAction, takeAction } from "./action-queue.js";
import { standInFor } from "./abandoned-keys.js";
import * as requests from "./agent-requests.js";
import * as agents from "./agent-rules.js";
import type { AnyDlroverAnswer, DlroverRequest, NodeAction, Sender } from "./dlrover-request.js";
import { isMissing } from "./key-store.js";
import { checkDueAtMs, countCheckWaiting, joinCheck, reportCheck } from "./network-check.js";
import { packWorld, type World } from "./packed-world.js";
import { sharedOf } from "./peer-leaves.js";
import * as shared from "./shared-requests.js";

/** An answer; or what has to happen first, and how long the client is kept waiting for it. */
export type Outcome = Readonly<{ answer: AnyDlroverAnswer }> | Readonly<{ subject: string; waitMs: number }>;

type Of<Type extends DlroverRequest["type"]> = Extract<DlroverRequest, { type: Type }>;

const checkSubject = "network check";
/** Nobody waits for this: it is looked at once for all that wait for the check (`settleWhatIsDue`). */
const checkMayBegin = "network check may begin";

export function worldSubject(node: string): string {
  return `world ${node}`;
}

function keySubject(key: string): string {
  return `key ${key}`;
}

/** What is waited for that this event may have brought. */
export function subjectsOf(event: JobEvent): string[] {
  switch (event.type) {
    case "keys-set":
      return event.pairs.map(([key]) => keySubject(key));
    case "network-check-joined":
    case "network-check-left":
    case "rendezvous-set":
    case "node-ended":
    case "agent-ended":
      return [checkMayBegin];
    case "network-check-grouped":
    case "job-over":
    case "nodes-stopping":
      return [checkSubject];
    default:
      return [];
  }
}

/** What these subjects call for beside the answers to those who wait for them. */
export function settleWhatIsDue(ledger: Ledger, subjects: ReadonlySet<string>): void {
  if (subjects.has(checkMayBegin)) shared.considerCheck(ledger);
}

export function answerPeer(ledger: Ledger, sender: Sender, request: DlroverRequest): Outcome {
  switch (request.type) {
    case "get-world":
      return request.rendezvous === "network-check" ? getCheckWorld(ledger, request) : getWorld(ledger, sender, request);
    case "get-keys": {
      const awaited = request.keys.find((key) => isMissing(sharedOf(ledger), key) && standInFor(ledger.job, key) === null);
      const isHeld = awaited !== undefined && request.waitMs > 0;
      return isHeld ? { subject: keySubject(awaited), waitMs: request.waitMs } : { answer: shared.answerKeys(ledger, sender, request) };
    }
    default:
      return { answer: answerAtOnce(ledger, sender, request) };
  }
}

function getWorld(ledger: Ledger, sender: Sender, request: Of<"get-world">): Outcome {
  const node = agents.peerOf(ledger, sender);
  const world = node && requests.worldOfPeer(ledger, node);
  if (world) return { answer: packWorld(world) };
  const isWaiting = node !== null && request.waitMs > 0 && !isOver(ledger);
  return isWaiting ? { subject: worldSubject(node.id), waitMs: request.waitMs } : { answer: answerLate(ledger, sender, request) };
}

function getCheckWorld(ledger: Ledger, request: Of<"get-world">): Outcome {
  const world = shared.worldOfCheck(ledger, request.rank);
  if (world) return { answer: packWorld(world) };
  const dueAtMs = checkDueAtMs(ledger.job.dlrover, shared.checkLimits(ledger));
  const waitMs = Math.min(request.waitMs, dueAtMs === null ? Infinity : Math.max(1, dueAtMs - ledger.nowMs));
  return waitMs > 0 && !isOver(ledger) ? { subject: checkSubject, waitMs } : { answer: packWorld(noCheck(ledger)) };
}

/** What a held request is answered when its time is up. */
export function answerLate(ledger: Ledger, sender: Sender, request: DlroverRequest): AnyDlroverAnswer {
  if (request.type === "get-keys") return shared.answerKeys(ledger, sender, request);
  if (request.type === "get-world" && request.rendezvous === "network-check") {
    return packWorld(shared.worldOfCheck(ledger, request.rank) ?? noCheck(ledger));
  }
  return packWorld(requests.worldAfterWait(ledger, agents.peerOf(ledger, sender)));
}

function noCheck({ job }: Ledger): World {
  return { round: job.dlrover.check.round, group: 0, world: [] };
}

type AtOnce = Exclude<DlroverRequest, { type: "get-world" | "get-keys" }>;

function answerAtOnce(ledger: Ledger, sender: Sender, request: AtOnce): AnyDlroverAnswer {
  switch (request.type) {
    case "pre-check":
      return requests.checkBefore(ledger, sender);
    case "join-rendezvous":
      return { round: join(ledger, sender, request) };
    case "count-waiting":
      return { count: countWaiting(ledger, sender, request.rendezvous === "network-check") };
    case "list-running":
      return { nodes: requests.listRunning(ledger) };
    case "heartbeat":
      return { action: nextAction(ledger, sender, request.atSeconds) };
    case "node-event":
      return { isOk: noteNodeEvent(ledger, sender, request) };
    case "node-failure":
      return { isOk: requests.noteNodeFailure(ledger, sender, request) || note(ledger, sender, `failure: ${request.level}`, request.errorText) };
    case "set-rendezvous":
      agents.setRendezvous(ledger, sender, request);
      return { isOk: true };
    case "note":
      return { isOk: note(ledger, sender, request.name, request.fields) };
    case "use-resources":
    case "note-step":
    case "note-training-event":
      return { isOk: true }; // Gauges: the actor keeps them.
    default:
      return answerShared(ledger, sender, request);
  }
}

type Agents =
  | "pre-check" | "join-rendezvous" | "count-waiting" | "list-running" | "heartbeat" | "node-event" | "node-failure" | "set-rendezvous"
  | "note" | "use-resources" | "note-step" | "note-training-event";

function answerShared(ledger: Ledger, sender: Sender, request: Exclude<AtOnce, { type: Agents }>): AnyDlroverAnswer {
  switch (request.type) {
    case "add-key":
    case "set-keys":
      return shared.answerKeys(ledger, sender, request);
    case "join-sync":
    case "finish-sync":
    case "barrier":
    case "sync-checkpoint":
    case "sync-port":
      return shared.answerSyncs(ledger, sender, request);
    case "get-network-faults":
    case "get-stragglers":
      return shared.answerCheck(ledger, request);
    default:
      return shared.answerCluster(ledger, sender, request);
  }
}

function join(ledger: Ledger, sender: Sender, request: Of<"join-rendezvous">): number {
  const node = agents.greetAgent(ledger, sender, { rank: request.rank, address: request.address, isNewLife: false });
  if (!node) return 0;
  if (request.rendezvous === "elastic-training") return agents.joinTraining(ledger, node, request);
  return joinCheck(sharedOf(ledger), { peer: node.id, rank: request.rank, nproc: request.nproc });
}

/** A node that checks its network before each start asks under that name for both: whether to check, and whether to join. */
function countWaiting(ledger: Ledger, sender: Sender, isOfCheck: boolean): number {
  const count = requests.countWaiting(ledger, sender);
  if (!isOfCheck || count < 0) return count;
  return Math.max(count, countCheckWaiting(sharedOf(ledger), shared.nodeUnit(ledger)));
}

function noteNodeEvent(ledger: Ledger, sender: Sender, request: Of<"node-event">): boolean {
  const { event, node, elapsedSeconds, message } = request;
  const isOfCheck = event === "NODE_CHECK_SUCCEEDED" || event === "NODE_CHECK_FAILED";
  if (isOfCheck) reportCheck(sharedOf(ledger), node.rank, event === "NODE_CHECK_SUCCEEDED", elapsedSeconds);
  return isOfCheck || requests.noteNodeEvent(ledger, sender, request) || note(ledger, sender, event, message);
}

/** What is said again without anything between is noted once. */
function note(ledger: Ledger, sender: Sender, name: string, told: string): boolean {
  const peer = agents.peerId(sender);
  const fields = told.slice(0, 16 * 1024);
  if (ledger.job.dlrover.notes.get(peer) !== `${name} ${fields}`) ledger.emit({ type: "agent-noted", peer, name, fields });
  return true;
}

function nextAction(ledger: Ledger, sender: Sender, atSeconds: number): Readonly<{ cls: string; content: string }> | null {
  const taken = takeAction(sharedOf(ledger), agents.peerId(sender), atSeconds);
  const node = agents.peerOf(ledger, sender);
  if (taken?.action === "relaunch" && node && isActive(ledger)) agents.callForReplacement(ledger, node, taken.because);
  return taken?.wire ?? null;
}

type Acted = Readonly<{ ok: true }> | Readonly<{ ok: false; code: "UNKNOWN_NODE" | "UNSUPPORTED_AGENT"; message: string }>;

/** A person tells the agent of a node what to do. */
export function actOnNode(ledger: Ledger, id: string, action: NodeAction, because: string): Acted {
  if (ledger.job.spec?.agents.kind !== "dlrover") {
    return { ok: false, code: "UNSUPPORTED_AGENT", message: "The agents of this job are Drover's own: drover scale, stop, pause and resume tell them what to do." };
  }
  const node = ledger.job.nodes.get(id);
  if (!node || agents.peerOf(ledger, agents.senderOf(node)) === null) return { ok: false, code: "UNKNOWN_NODE", message: `There is no live node ${id} in this job.` };
  queueAction(sharedOf(ledger), agents.senderOf(node), action, because);
  return { ok: true };
}

/** The job stops, and nobody but their own agents can end the ranks that somebody else has started. */
export function tellAllToLeave(ledger: Ledger, because: string): void {
  if (ledger.job.spec?.agents.isExternal !== true) return;
  for (const node of ledger.job.nodes.values()) {
    if (node.hasAgent && node.group === trainers) queueAction(sharedOf(ledger), agents.senderOf(node), "relaunch", because);
  }
}
