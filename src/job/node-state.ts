/**
 * The states of a node as a table: the cause of each edge is the fact that the Job Manager has written down.
 *
 * - N1  Every change of a node's state is an edge of `nodeEdges`.
 * - N2  `succeeded` is not an end: a rank that fails elsewhere takes the whole world back. `failed`, `lost` and `stopped` are left only for
 *       `relaunched`, which means that another node has taken the place.
 *
 * Whether the agent of a node is there at the moment is not a state: an agent that dies leaves its ranks running, and the next one adopts them.
 */

export type NodeState =
  | "planned"
  | "launching"
  | "checking"
  | "ready"
  | "joining"
  | "running"
  | "succeeded"
  | "failed"
  | "lost"
  | "stopped"
  | "relaunched";

export type NodeCause =
  /** The Scheduler has started its agent. */
  | "launched"
  /** Its agent has said who it is. */
  | "registered"
  /** The host passed the checks before training. */
  | "found-fit"
  /** A rendezvous round that it takes part in was opened. */
  | "round-opened"
  | "round-sealed"
  /** The round was sealed without it: beyond the maximum, or a remainder of the node unit. */
  | "left-out"
  | "ranks-succeeded"
  | "paused"
  /** Unfit, unplaceable, out of memory, broken hardware, or agents that keep dying. */
  | "gave-up"
  | "lost"
  /** Scaled away, or the job stops. */
  | "removed"
  | "replaced";

type Edge = readonly [from: NodeState, cause: NodeCause, to: NodeState];

const live: readonly NodeState[] = ["planned", "launching", "checking", "ready", "joining", "running", "succeeded"];
const fit: readonly NodeState[] = ["ready", "joining", "running", "succeeded"];

function fromEach(states: readonly NodeState[], cause: NodeCause, to: NodeState): Edge[] {
  return states.map((from) => [from, cause, to]);
}

/** N1. */
export const nodeEdges: readonly Edge[] = [
  ["planned", "launched", "launching"],
  ["planned", "registered", "checking"],
  ["launching", "registered", "checking"],
  ["checking", "found-fit", "ready"],
  ...fromEach(fit, "round-opened", "joining"),
  ["joining", "round-sealed", "running"],
  ["joining", "left-out", "ready"],
  ["running", "ranks-succeeded", "succeeded"],
  ...fromEach(fit, "paused", "ready"),
  ...fromEach(live, "gave-up", "failed"),
  ...fromEach(live, "lost", "lost"),
  ...fromEach(live, "removed", "stopped"),
  ...fromEach(["failed", "lost", "stopped"], "replaced", "relaunched"),
];

const byCause = new Map(nodeEdges.map(([from, cause, to]) => [`${from} ${cause}`, to]));

/** Where `cause` leads from `from`; null when it changes nothing there. */
export function nextNodeState(from: NodeState, cause: NodeCause): NodeState | null {
  return byCause.get(`${from} ${cause}`) ?? null;
}

/** Still part of the job. */
export function isLive(state: NodeState): boolean {
  return live.includes(state);
}

/** Its agent has been there and its host was found fit: it can take part in a round. */
export function isFit(state: NodeState): boolean {
  return fit.includes(state);
}
