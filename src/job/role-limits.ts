/** Which roles a group is made of, and how many of each. */

import type { GroupRecord, JobRecord } from "./job-record.js";
import { trainers } from "./job-record.js";
import type { RoleLimits } from "./rendezvous.js";

const noLimits: readonly RoleLimits[] = [];
const alone = { min: 1, max: 1, unit: 1 };

/** Of the trainers: workers and chiefs as the spec has them. A parameter server or an evaluator is alone in its group. */
export function limitsOf(job: Readonly<Pick<JobRecord, "spec" | "nodes">>, group: Pick<GroupRecord, "id">): readonly RoleLimits[] {
  if (group.id !== trainers) {
    const role = job.nodes.get(group.id)?.role;
    return role ? [{ role, ...alone }] : noLimits;
  }
  const roles = job.spec?.roles.filter(({ role }) => role === "worker" || role === "chief");
  return roles?.map(({ role, nodes }) => ({ role, ...nodes })) ?? noLimits;
}
