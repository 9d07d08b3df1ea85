/**
 * How agents come to life on hosts: what the Scheduler asks of a launcher, whatever it launches through.
 *
 * A launcher owns I/O and nothing else: which node goes where, and what an ended agent means, is the Scheduler's.
 *
 * - L1  `launch` is idempotent in its node: where an agent of the node lives already, that one is given back.
 * - L2  `watch` reports the end of an agent once, also of one that had ended before the call.
 * - L3  `end` resolves when the agent and everything that it led to (nursery, ranks, their children) is gone.
 */

import type { Role } from "../job/job-spec.js";
import type { HostRecord } from "../job/scale-plan.js";

export type AgentSpec = Readonly<{
  node: string;
  role: Role;
  /** Kept by the node that takes this one's place. */
  nodeRank: number;
  host: string;
  jobDir: string;
  masterAddress: string;
  tokenPath: string;
  /** Between the wish that the agent ends and force. */
  graceMs: number;
}>;

/** One life of an agent. `startTime` tells it from a later process with the same pid on that host. */
export type AgentHandle = Readonly<{ node: string; host: string; pid: number; startTime: string }>;

export type AgentEnd = Readonly<{ because: string; isHostGone: boolean }>;

export interface Launcher {
  /** "local", "ssh", "slurm", … */
  readonly kind: string;
  /** Calls `onHosts` with the hosts that there are: once soon, and whenever that changes, until `close`. */
  discoverHosts(onHosts: (hosts: readonly HostRecord[]) => void): void;
  /** Starts the node's agent, or finds it alive (L1). Rejects with a sentence for a person. */
  launch(spec: AgentSpec): Promise<AgentHandle>;
  /** Calls `onEnd` once when the agent is no more (L2). Works for agents that another process launched. */
  watch(handle: AgentHandle, onEnd: (end: AgentEnd) => void): void;
  /** Kills the agent alone; its ranks live on. */
  kill(handle: AgentHandle): Promise<void>;
  /** Ends the node's agent and all that it led to: politely first unless `isKill` (L3). */
  end(spec: AgentSpec, handle: AgentHandle | null, isKill: boolean): Promise<void>;
  /** Ends whatever still belongs to the job on any host, known or not. */
  sweep(jobDir: string): Promise<void>;
  /** Stops watching; agents live on. */
  close(): void;
}
