/** Where each request of DLRover's agents and clients is answered: one that concerns nodes and worlds by agent-requests.ts, the others by shared-requests.ts. */

import type { JobEvent } from "../job-event.js";
import type { Ledger } from "../ledger.js";
import * as requests from "./agent-requests.js";
import * as agents from "./agent-rules.js";
import type { AnyDlroverAnswer, DlroverRequest, NodeAction, Sender } from "./dlrover-request.js";

/** An answer; or what has to happen first, and how long the client is kept waiting for it. */
export type Outcome = Readonly<{ answer: AnyDlroverAnswer }> | Readonly<{ subject: string; waitMs: number }>;

export function worldSubject(node: string): string {
  return `world ${node}`;
}

/** What an event may be waited for by. */
export function subjectsOf(event: JobEvent): string[] {
  void event;
  return [];
}

export function answerPeer(ledger: Ledger, sender: Sender, request: DlroverRequest): Outcome {
  switch (request.type) {
    case "pre-check":
      return { answer: requests.checkBefore(ledger, sender) };
    case "join-rendezvous": {
      const node = agents.greetAgent(ledger, sender, { rank: request.rank, address: request.address, isNewLife: false });
      return { answer: { round: node ? agents.joinTraining(ledger, node, request) : 0 } };
    }
    case "get-world": {
      const node = agents.peerOf(ledger, sender);
      const world = node && requests.worldOfPeer(ledger, node);
      if (world) return { answer: world };
      return node && request.waitMs > 0 ? { subject: worldSubject(node.id), waitMs: request.waitMs } : { answer: answerLate(ledger, sender, request) };
    }
    case "count-waiting":
      return { answer: { count: requests.countWaiting(ledger, sender) } };
    case "list-running":
      return { answer: { nodes: requests.listRunning(ledger) } };
    case "node-event":
      return { answer: { isOk: requests.noteNodeEvent(ledger, sender, request) } };
    case "node-failure":
      return { answer: { isOk: requests.noteNodeFailure(ledger, sender, request) } };
    case "set-rendezvous":
      agents.setRendezvous(ledger, sender, request);
      return { answer: { isOk: true } };
    default:
      return { answer: { isOk: true } };
  }
}

/** What a held request is answered when its time is up. */
export function answerLate(ledger: Ledger, sender: Sender, request: DlroverRequest): AnyDlroverAnswer {
  if (request.type === "get-world") return requests.worldAfterWait(ledger, agents.peerOf(ledger, sender));
  return { isOk: false };
}

type Acted = Readonly<{ ok: true }> | Readonly<{ ok: false; code: "UNKNOWN_NODE" | "UNSUPPORTED_AGENT"; message: string }>;

/** A person tells the agent of a node what to do. */
export function actOnNode(ledger: Ledger, id: string, action: NodeAction, because: string): Acted {
  void action;
  void because;
  if (ledger.job.spec?.agents.kind !== "dlrover") {
    return { ok: false, code: "UNSUPPORTED_AGENT", message: "The agents of this job are Drover's own; they are told by drover scale, stop, pause and resume." };
  }
  const node = ledger.job.nodes.get(id);
  if (!node) return { ok: false, code: "UNKNOWN_NODE", message: `There is no node ${id} in this job.` };
  return { ok: true };
}
