/** A node as far as scaling cares. */

import type { JobRecord } from "./job-record.js";
import type { Role } from "./job-spec.js";
import { isLive } from "./node-state.js";

export type ScalingNode = Readonly<{
  node: string;
  role: Role;
  nodeRank: number;
  host: string | null;
  /** Its agent is there. */
  isLive: boolean;
  isEnded: boolean;
}>;

export function scalingNodesOf(job: JobRecord): ScalingNode[] {
  return [...job.nodes.values()].map(({ id, role, nodeRank, host, state, hasAgent }) => {
    return { node: id, role, nodeRank, host, isLive: isLive(state) && hasAgent, isEnded: !isLive(state) };
  });
}
