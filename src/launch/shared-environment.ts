/**
 * The part of a rank's environment that is the same for every rank of a role: what a zygote is started with, so that the ranks forked
 * from it agree with it on every variable that is read when Python or torch loads.
 */

import type { JobSpec, RoleSpec } from "../job/job-spec.js";

export type Environment = Readonly<Record<string, string>>;

/** As torchrun does: one OpenMP thread a rank, unless told otherwise or alone on its node. */
export function sharedEnvironment(spec: Pick<JobSpec, "env">, role: Pick<RoleSpec, "nprocPerNode">): Environment {
  const threads: Environment = spec.env["OMP_NUM_THREADS"] === undefined && role.nprocPerNode > 1 ? { OMP_NUM_THREADS: "1" } : {};
  return { TORCH_NCCL_ASYNC_ERROR_HANDLING: "1", ...spec.env, ...threads };
}
