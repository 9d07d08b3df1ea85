/** What the Scheduler is asked to make so (DLRover's ScalePlan). */

import type { Resources, Role } from "./job-spec.js";

export type NodeLaunch = Readonly<{
  node: string;
  role: Role;
  /** The node's rank within its role, kept by a relaunch. */
  nodeRank: number;
  resources: Resources;
  /** Hosts that must not be chosen (they failed this node before). */
  avoidHosts: readonly string[];
}>;

/** Create and remove nodes; an agent that died is started again in place with `restart`. */
export type ScalePlan = Readonly<{
  id: string;
  reason: string;
  create: readonly NodeLaunch[];
  /** Ended with the grace time of the job. */
  remove: readonly string[];
  restart: readonly string[];
  /** Ended at once: lost nodes, of which something may be left all the same. */
  kill?: readonly string[];
}>;

/** A host as the Scheduler sees it. */
export type HostRecord = Readonly<{
  host: string;
  address: string;
  total: Resources;
  /** Nodes that may share it: 1 where a host is a machine of its own, 10,000 where one machine plays many (local). */
  nodesMax: number;
  isUp: boolean;
}>;
