/**
 * What agents are told with their heartbeats, one at a time.
 *
 * - A1  An action that is older than its time is dropped when it is met, and never keeps another from being told.
 * - A2  The same action is not queued twice.
 * - A3  On the wire every action is for instance -2 ("any"): stock agents run no other. Whose it is, the queue knows.
 * - A4  A heartbeat that comes again, for its answer was lost with the master, is answered with the same action.
 */

import type { DlroverLedger } from "./dlrover-ledger.js";
import type { QueuedAction } from "./dlrover-record.js";
import type { NodeAction, Sender, WireAction } from "./dlrover-request.js";

/** As DLRover's own actions live. */
const expiresAfterMs = 300_000;
/** Stock agents report an event at every tick until it expires; what they say again is not noted again. */
const eventSeconds = 5;

export function queueAction(ledger: DlroverLedger, node: Sender, action: NodeAction, because: string): void {
  const peer = `${node.type}-${node.id}`;
  const queue = ledger.record.actions.get(peer) ?? [];
  if (queue.some((known) => known.action === action && known.because === because && known.expiresAtMs > ledger.nowMs)) return; // A2
  const wire = wireOf(node, action, because, ledger.nowMs);
  ledger.emit({ type: "action-queued", peer, action, wire, because, expiresAtMs: ledger.nowMs + expiresAfterMs });
}

/** The next action of this node, for its heartbeat of this second of its own clock. */
export function takeAction(ledger: DlroverLedger, peer: string, atSeconds: number): QueuedAction | null {
  const { actions, told } = ledger.record;
  const last = told.get(peer);
  if (last?.atSeconds === atSeconds) return last; // A4
  for (let next = actions.get(peer)?.[0]; next; next = actions.get(peer)?.[0]) {
    const isExpired = next.expiresAtMs <= ledger.nowMs; // A1
    ledger.emit({ type: isExpired ? "action-expired" : "action-taken", peer, action: next.action, atSeconds });
    if (!isExpired) return next;
  }
  return null;
}

/** As DLRover's agents construct their actions: class name and the arguments of its constructor, seconds. */
function wireOf(node: Sender, action: NodeAction, because: string, nowMs: number): WireAction {
  const timestamp = 0; // Now, as the agent hears it.
  if (action === "event") {
    const content = {
      action_type: "event",
      instance: -2, // A3
      timestamp,
      expired_time_period: eventSeconds,
      executable_time_period: 0,
      event_type: "info",
      event_instance: `${node.type}-${node.id}`,
      event_action: "drover",
      event_msg: because,
      event_labels: { at: new Date(nowMs).toISOString() },
    };
    return { cls: "EventAction", content: JSON.stringify(content) };
  }
  const content = {
    action_type: action === "restart" ? "restart_worker" : "relaunch_worker",
    instance: -2, // A3
    timestamp,
    expired_time_period: expiresAfterMs / 1_000,
    executable_time_period: 0,
    node_id: node.id,
    node_type: node.type,
    node_status: "",
    reason: because,
  };
  return { cls: "NodeAction", content: JSON.stringify(content) };
}
