/** What is desired of a node, out of the record. Changes only where an event gave the node a new revision (J2). */

import type { Assignment, NodeDesired } from "./assignment.js";
import type { GroupRecord, JobRecord, NodeRecord } from "./job-record.js";
import { isFit, isLive } from "./node-state.js";

export function desiredOf(job: JobRecord, node: NodeRecord): NodeDesired {
  const group = job.groups.get(node.group);
  const phase = phaseOf(job, node, group);
  return {
    revision: node.revision,
    phase,
    round: group?.round ?? 0,
    assignment: phase === "run" && group ? assignmentOf(group, node) : null,
    graceMs: graceOf(job, phase, group),
    probes: job.probes.filter((probe) => probe.awaited.has(node.id)).map((probe) => ({ id: probe.id, kind: "stacks" })),
  };
}

function phaseOf(job: JobRecord, node: NodeRecord, group: GroupRecord | undefined): NodeDesired["phase"] {
  if (job.mode === "stopping" || !isLive(node.state)) return "exit";
  if (job.mode === "paused") return "stop";
  if (!group || !isFit(node.state)) return "wait";
  if (group.phase === "open") return "join";
  if (group.phase === "idle") return "wait";
  return group.members.has(node.id) ? "run" : "wait";
}

function graceOf(job: JobRecord, phase: NodeDesired["phase"], group: GroupRecord | undefined): number {
  if (phase === "join") return group?.graceMs ?? 0;
  return job.stop?.graceMs ?? job.spec?.stopGraceMs ?? 0;
}

function assignmentOf(group: GroupRecord, node: NodeRecord): Assignment | null {
  const member = group.members.get(node.id);
  if (!member) return null;
  return {
    round: group.round,
    groupRank: member.groupRank,
    groupWorldSize: group.members.size,
    firstRank: member.firstRank,
    nproc: member.nproc,
    worldSize: group.worldSize,
    ...placeInRole(group, node, member.firstRank),
    masterAddr: group.masterAddr,
    masterPort: group.masterPort,
    restartCount: group.restartCount,
  };
}

/** Workers follow the chief in a world; of every other world all ranks have one role. */
function placeInRole(group: GroupRecord, node: NodeRecord, firstRank: number): Pick<Assignment, "roleFirstRank" | "roleWorldSize"> {
  const { chiefRanks, worldSize } = group;
  if (node.role === "chief") return { roleFirstRank: firstRank, roleWorldSize: chiefRanks };
  return { roleFirstRank: firstRank - chiefRanks, roleWorldSize: worldSize - chiefRanks };
}
