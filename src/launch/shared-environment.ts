/**
 * The part of a rank's environment that is the same for every rank of a role: what a zygote is started with, so that the ranks forked
 * from it agree with it on every variable that is read when Python or torch loads.
 */

import type { JobSpec, RoleSpec } from "../job/job-spec.js";

export type Environment = Readonly<Record<string, string>>;

/**
 * What torchrun's ranks find: one OpenMP thread a rank, unless told otherwise or alone on its node, and the locale that Python coerces
 * its own process to (PEP 538), and thereby its children.
 */
export function sharedEnvironment(spec: Pick<JobSpec, "env">, role: Pick<RoleSpec, "nprocPerNode">): Environment {
  const threads: Environment = spec.env["OMP_NUM_THREADS"] === undefined && role.nprocPerNode > 1 ? { OMP_NUM_THREADS: "1" } : {};
  const locale: Environment = isLocaleCoerced(spec.env) ? { LC_CTYPE: "C.UTF-8" } : {};
  return { TORCH_NCCL_ASYNC_ERROR_HANDLING: "1", ...spec.env, ...threads, ...locale };
}

function isLocaleCoerced(env: Environment): boolean {
  if (env["PYTHONCOERCECLOCALE"] === "0" || (env["LC_ALL"] ?? "") !== "") return false;
  return ["", "C", "POSIX"].includes(env["LC_CTYPE"] || env["LANG"] || "");
}
