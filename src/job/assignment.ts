/** What a node is told to run in one rendezvous round, and what the master wants of it. */

/** A node's place in a sealed round. Everything that torchrun's variables need. */
export type Assignment = Readonly<{
  round: number;
  /** This node's place among the nodes of the round, from 0. */
  groupRank: number;
  groupWorldSize: number;
  /** Global rank of the node's local rank 0. */
  firstRank: number;
  nproc: number;
  worldSize: number;
  /** The same among the ranks of the node's role. */
  roleFirstRank: number;
  roleWorldSize: number;
  /** Store of group rank 0, opened for this round only. */
  masterAddr: string;
  masterPort: number;
  /** Restarts that the job has spent; TORCHELASTIC_RESTART_COUNT. */
  restartCount: number;
}>;

/** A request for evidence from a node; answered by a report with the same id. */
export type Probe = Readonly<{ id: string; kind: "stacks" }>;

/**
 * What the master wants a node to be: level-triggered, so that it may be delivered late, twice, or after others were missed.
 *
 * | phase | the agent |
 * | --- | --- |
 * | `wait` | keeps what it has and waits |
 * | `join` | ends ranks of older rounds, opens a store for `round`, joins it |
 * | `run` | sees to it that the ranks of `assignment` run, and no others |
 * | `stop` | ends its ranks (SIGTERM, `graceMs`, SIGKILL), keeps itself |
 * | `exit` | as `stop`, then ends its nursery and itself |
 */
export type NodeDesired = Readonly<{
  /** Grows with each change. */
  revision: number;
  phase: "wait" | "join" | "run" | "stop" | "exit";
  round: number;
  assignment: Assignment | null;
  graceMs: number;
  probes: readonly Probe[];
}>;
