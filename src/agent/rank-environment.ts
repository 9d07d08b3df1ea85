/**
 * The environment of one rank: torchrun's and DLRover's variables, and Drover's own. Pure; compared with a real torchrun in a test.
 *
 * - V1  A script that runs under torchrun or dlrover-run finds every variable that it would find there, with a value of the same form.
 * - V2  What was in the job's environment under one of these names is replaced, except OMP_NUM_THREADS and
 *       TORCH_NCCL_ASYNC_ERROR_HANDLING, which torchrun leaves alone as well.
 */

import type { Assignment } from "../job/assignment.js";
import type { JobSpec, RoleSpec } from "../job/job-spec.js";
import { type Environment, sharedEnvironment } from "../launch/shared-environment.js";

export type RankPlace = Readonly<{
  spec: JobSpec;
  role: RoleSpec;
  node: string;
  nodeRank: number;
  assignment: Assignment;
  localRank: number;
  /** `host:port` of the master. */
  masterAddress: string;
  tokenPath: string;
  progressPath: string;
  errorPath: string;
  rankToken: string;
}>;

export function rankEnvironment(place: RankPlace): Environment {
  const { spec, role, assignment, localRank } = place;
  const rank = String(assignment.firstRank + localRank);
  const worldSize = String(assignment.worldSize);
  return {
    ...sharedEnvironment(spec, role),
    RANK: rank,
    LOCAL_RANK: String(localRank),
    WORLD_SIZE: worldSize,
    LOCAL_WORLD_SIZE: String(assignment.nproc),
    GROUP_RANK: String(assignment.groupRank),
    GROUP_WORLD_SIZE: String(assignment.groupWorldSize),
    ROLE_RANK: String(assignment.roleFirstRank + localRank),
    ROLE_WORLD_SIZE: String(assignment.roleWorldSize),
    ROLE_NAME: role.name,
    MASTER_ADDR: assignment.masterAddr,
    MASTER_PORT: String(assignment.masterPort),
    TORCHELASTIC_RESTART_COUNT: String(assignment.restartCount),
    TORCHELASTIC_MAX_RESTARTS: String(spec.budget.maxRestarts),
    TORCHELASTIC_RUN_ID: spec.runId,
    TORCHELASTIC_USE_AGENT_STORE: "True",
    TORCHELASTIC_ERROR_FILE: place.errorPath,
    TORCHELASTIC_SIGNALS_TO_HANDLE: "SIGTERM,SIGINT,SIGHUP,SIGQUIT",
    ...dlroverVariables(place),
    DROVER_JOB: spec.name,
    DROVER_NODE_ID: place.node,
    DROVER_MASTER_ADDR: place.masterAddress,
    DROVER_TOKEN_FILE: place.tokenPath,
    DROVER_PROGRESS_FILE: place.progressPath,
    DROVER_RANK_TOKEN: place.rankToken,
    DROVER_INCARNATION: String(assignment.round),
  };
}

function dlroverVariables({ spec, role, node, nodeRank, assignment, masterAddress }: RankPlace): Environment {
  return {
    DLROVER_MASTER_ADDR: masterAddress,
    DLROVER_MASTER_SERVICE_TYPE: "http",
    JOB_NAME: spec.name,
    // A number there; our ids end in one, which a relaunched node does not share with the node before it.
    NODE_ID: /\d+$/.exec(node)?.[0] ?? String(nodeRank),
    NODE_RANK: String(nodeRank),
    NODE_NUM: String(assignment.groupWorldSize),
    NODE_TYPE: role.role,
  };
}
