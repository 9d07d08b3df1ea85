/**
 * How many nodes a job should have: pure decisions that return a plan with its reason, or a refusal, or nothing.
 *
 * - S1  Each role has at most its maximum of live nodes; a person's target is within minimum and maximum, and a multiple of the unit.
 * - S2  A node is replaced once, by one with its role and node rank.
 * - S3  A node rank is held by one live node of its role at a time; a new node takes the lowest that is free.
 */

import type { JobSpec, Resources, Role, RoleSpec } from "./job-spec.js";
import type { HostRecord, NodeLaunch } from "./scale-plan.js";

/** After an out-of-memory exit a node gets this much more. */
export const memoryFactor = 1.5;

export type ScaledNode = { readonly launch: NodeLaunch; isEnded: boolean; replacedBy: string | null };

export type ScalingState = {
  spec: JobSpec | null;
  isEnding: boolean;
  /** Workers that the job should have. */
  target: number;
  nodes: Map<string, ScaledNode>;
  /** Nodes ever made of each role: their ids are not used twice. */
  made: Map<Role, number>;
  /** What a node of the role gets, where that was raised. */
  resources: Map<Role, Resources>;
  hosts: readonly HostRecord[];
  lastReason: string;
};

export type ScaleDecision = Readonly<{ target: number; create: readonly NodeLaunch[]; remove: readonly string[]; because: string }>;

export function openScaling(): ScalingState {
  return {
    spec: null,
    isEnding: false,
    target: 0,
    nodes: new Map(),
    made: new Map(),
    resources: new Map(),
    hosts: [],
    lastReason: "the job has not begun",
  };
}

/** Every role at its maximum: as many as find a host take part. */
export function decideBeginning(state: ScalingState, spec: JobSpec): ScaleDecision {
  if (spec.agents.isExternal) return { target: 0, create: [], remove: [], because: "somebody else starts the agents" };
  const create = spec.roles.flatMap((role) => launchesOf(state, role, range(role.nodes.max), []));
  const counted = spec.roles.map(({ role, nodes }) => `${nodes.max} ${role}`).join(", ");
  return { target: workerOf(spec)?.nodes.max ?? 0, create, remove: [], because: `the job begins with ${counted}` };
}

export type Replace = Readonly<{ node: string; because: string; isOutOfMemory: boolean; avoidHost: string | null }>;

/** Another node in the place of one that ended (S2); null when that was done, or the node is not known. */
export function decideReplacement(state: ScalingState, { node, because, isOutOfMemory, avoidHost }: Replace): ScaleDecision | null {
  const former = state.nodes.get(node);
  const role = state.spec?.roles.find((other) => other.role === former?.launch.role);
  if (!former || !role || former.replacedBy !== null || state.isEnding || state.spec?.agents.isExternal === true) return null;
  const avoidHosts = [...new Set([...former.launch.avoidHosts, ...(avoidHost === null ? [] : [avoidHost])])];
  const resources = isOutOfMemory ? withMoreMemory(former.launch.resources, state.hosts) : former.launch.resources;
  const [launch] = launchesOf(state, role, [former.launch.nodeRank], avoidHosts, resources);
  if (!launch) return null;
  const more = resources.memoryBytes > former.launch.resources.memoryBytes ? ` with ${mebibytes(resources.memoryBytes)} of memory` : "";
  return { target: state.target, create: [launch], remove: [node], because: `${launch.node}${more} takes the place of ${node}: ${because}` };
}

export type TargetRefusal = Readonly<{ ok: false; code: "OUT_OF_RANGE" | "JOB_ENDING" | "CANNOT_PLACE" | "UNSUPPORTED_AGENT"; message: string }>;

/** A person asks for `to` workers (S1). */
export function decideTarget(state: ScalingState, to: number, because: string): ScaleDecision | TargetRefusal {
  const role = state.spec ? workerOf(state.spec) : undefined;
  if (state.isEnding) return { ok: false, code: "JOB_ENDING", message: "The job is ending." };
  if (!role) return { ok: false, code: "OUT_OF_RANGE", message: "The job has no workers to scale." };
  if (state.spec?.agents.isExternal === true) {
    return { ok: false, code: "UNSUPPORTED_AGENT", message: "Somebody else starts the agents of this job: start or end some of them." };
  }
  const { min, max, unit } = role.nodes;
  if (!Number.isSafeInteger(to) || to < min || to > max || to % unit !== 0) {
    const step = unit === 1 ? "" : `, in steps of ${unit}`;
    return { ok: false, code: "OUT_OF_RANGE", message: `${to} workers: this job takes from ${min} to ${max}${step}.` };
  }
  const resources = state.resources.get("worker") ?? role.resources;
  const room = roomFor(resources, state.hosts);
  if (to > room) return { ok: false, code: "CANNOT_PLACE", message: `${to} workers: the hosts have room for ${room} of ${describe(resources)}.` };
  const live = liveOf(state, "worker");
  const remove = [...live].sort((a, b) => b.nodeRank - a.nodeRank).slice(0, Math.max(0, live.length - to));
  const create = launchesOf(state, role, freeRanks(live, to - live.length), []);
  return { target: to, create, remove: remove.map(({ node }) => node), because: `from ${live.length} to ${to} workers: ${because}` };
}

/** Hosts have come: what was given up for want of one is made up for, as far as there is room. */
export function decideAfterHosts(state: ScalingState, hosts: readonly HostRecord[]): ScaleDecision | null {
  const role = state.spec ? workerOf(state.spec) : undefined;
  const before = new Set(state.hosts.filter((host) => host.isUp).map((host) => host.host));
  const came = hosts.filter((host) => host.isUp && !before.has(host.host)).map((host) => host.host);
  if (!role || state.isEnding || came.length === 0 || state.hosts.length === 0) return null;
  const live = liveOf(state, "worker");
  const room = roomFor(state.resources.get("worker") ?? role.resources, hosts);
  const create = launchesOf(state, role, freeRanks(live, Math.min(state.target, room) - live.length), []);
  if (create.length === 0) return null;
  return { target: state.target, create, remove: [], because: `${came.join(", ")} came: from ${live.length} to ${live.length + create.length} workers` };
}

/** Nodes that have ended give their room back. */
export function decideClearing(state: ScalingState, ended: readonly string[]): ScaleDecision | null {
  const remove = ended.filter((node) => state.nodes.get(node)?.isEnded === false);
  if (remove.length === 0 || state.isEnding) return null;
  return { target: state.target, create: [], remove, because: `${remove.join(", ")} ended and nothing takes the place` };
}

/** Ended nodes that are remembered; the oldest are forgotten first. */
const endedMax = 200;

export function applyDecision(state: ScalingState, decision: ScaleDecision): void {
  state.target = decision.target;
  state.lastReason = decision.because;
  for (const launch of decision.create) {
    state.nodes.set(launch.node, { launch, isEnded: false, replacedBy: null });
    state.made.set(launch.role, (state.made.get(launch.role) ?? 0) + 1);
    state.resources.set(launch.role, launch.resources);
  }
  for (const id of decision.remove) {
    const node = state.nodes.get(id);
    if (!node) continue;
    node.isEnded = true;
    const heir = decision.create.find(({ role, nodeRank }) => role === node.launch.role && nodeRank === node.launch.nodeRank);
    node.replacedBy = heir?.node ?? node.replacedBy; // S2
  }
  const ended = [...state.nodes.values()].filter((node) => node.isEnded);
  for (const { launch } of ended.slice(0, Math.max(0, ended.length - endedMax))) state.nodes.delete(launch.node);
}

export function workerOf(spec: JobSpec): RoleSpec | undefined {
  return spec.roles.find(({ role }) => role === "worker");
}

export function liveOf(state: ScalingState, role: Role): NodeLaunch[] {
  return [...state.nodes.values()].filter((node) => !node.isEnded && node.launch.role === role).map((node) => node.launch);
}

function launchesOf(
  state: ScalingState,
  role: RoleSpec,
  nodeRanks: readonly number[],
  avoidHosts: readonly string[],
  resources = state.resources.get(role.role) ?? role.resources,
): NodeLaunch[] {
  const made = state.made.get(role.role) ?? 0;
  return nodeRanks.map((nodeRank, index) => {
    return { node: `${role.role}-${made + index}`, role: role.role, nodeRank, resources, avoidHosts };
  });
}

/** S3. */
function freeRanks(live: readonly NodeLaunch[], count: number): number[] {
  const taken = new Set(live.map(({ nodeRank }) => nodeRank));
  const free: number[] = [];
  for (let rank = 0; free.length < count; rank++) if (!taken.has(rank)) free.push(rank);
  return free;
}

function withMoreMemory(resources: Resources, hosts: readonly HostRecord[]): Resources {
  const most = Math.max(0, ...hosts.filter((host) => host.isUp).map((host) => host.total.memoryBytes)) || Infinity;
  const memoryBytes = Math.max(resources.memoryBytes, Math.min(most, Math.ceil(resources.memoryBytes * memoryFactor)));
  return { ...resources, memoryBytes };
}

/** How many nodes of these resources the hosts could hold if they were empty; Infinity while no host is known. */
export function roomFor(resources: Resources, hosts: readonly HostRecord[]): number {
  const up = hosts.filter((host) => host.isUp);
  if (hosts.length === 0) return Infinity;
  return up.reduce((sum, { total, nodesMax }) => {
    const asked: [number, number][] = [
      [resources.cpu, total.cpu],
      [resources.memoryBytes, total.memoryBytes],
      [resources.gpu, total.gpu],
      ...Object.entries(resources.custom).map(([name, amount]): [number, number] => [amount, total.custom[name] ?? 0]),
    ];
    return sum + Math.min(nodesMax, ...asked.filter(([amount]) => amount > 0).map(([amount, has]) => Math.floor(has / amount)));
  }, 0);
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

function mebibytes(bytes: number): string {
  return `${Math.round(bytes / 1_048_576)} MiB`;
}

function describe({ cpu, memoryBytes, gpu, custom }: Resources): string {
  const asked = [
    ...(cpu > 0 ? [`${cpu} cpu`] : []),
    ...(memoryBytes > 0 ? [mebibytes(memoryBytes)] : []),
    ...(gpu > 0 ? [`${gpu} gpu`] : []),
    ...Object.entries(custom).map(([name, amount]) => `${amount} ${name}`),
  ];
  return asked.join(", ") || "nothing in particular";
}
