/**
 * Rendezvous: when a round is sealed, with whom, and which place each has in the world. The idea is torchelastic's (minimum, maximum, last
 * call); the node unit is DLRover's.
 *
 * - V1  A world has of each role at least its minimum, at most its maximum, and a multiple of its unit.
 * - V2  A round is sealed at once when nobody else can come or the maximum is there; else when the last call is over.
 * - V3  Group ranks are 0 … n-1, chiefs first; a node keeps its former group rank where the new world has that place.
 * - V4  The cost of a decision does not grow with the nodes; that of a seal is linear (times the logarithm of a sort).
 */

import type { Role } from "./job-spec.js";

export type RoleLimits = Readonly<{ role: Role; min: number; max: number; unit: number }>;

/** One node that has joined. */
export type Joiner = Readonly<{
  node: string;
  role: Role;
  nodeRank: number;
  /** Its place in the last world, or null. */
  formerGroupRank: number | null;
  nproc: number;
}>;

export type Place = Readonly<{ node: string; groupRank: number; firstRank: number; nproc: number }>;

/** How many of `count` nodes of a role a world can take (V1); 0 when that is fewer than its minimum. */
export function usableOf(limits: RoleLimits, count: number): number {
  const most = Math.min(count, limits.max);
  const usable = most - (most % limits.unit);
  return usable >= limits.min ? usable : 0;
}

/** How large a world the nodes that are counted here could make; null when a role has too few. */
export function worldOf(limits: readonly RoleLimits[], counts: ReadonlyMap<Role, number>): number | null {
  let nodes = 0;
  for (const limit of limits) {
    const usable = usableOf(limit, counts.get(limit.role) ?? 0);
    if (usable === 0) return null;
    nodes += usable;
  }
  return nodes;
}

export type SealInput = Readonly<{
  limits: readonly RoleLimits[];
  joined: ReadonlyMap<Role, number>;
  /** Nodes that may yet join. */
  awaited: number;
  /** Since when enough have joined; null while they have not. */
  fitSinceMs: number | null;
  /** Since when the round waits for the minimum. */
  shortSinceMs: number;
  nowMs: number;
  lastCallMs: number;
  joinTimeoutMs: number;
}>;

export type SealDecision =
  | Readonly<{ kind: "seal"; because: string }>
  | Readonly<{ kind: "wait"; untilMs: number }>
  | Readonly<{ kind: "too-few"; because: string }>;

/** V2. */
export function decideSeal(input: SealInput): SealDecision {
  const world = worldOf(input.limits, input.joined);
  if (world === null || input.fitSinceMs === null) {
    const untilMs = input.shortSinceMs + input.joinTimeoutMs;
    if (input.nowMs < untilMs) return { kind: "wait", untilMs };
    return { kind: "too-few", because: `${shortage(input)} after ${seconds(input.joinTimeoutMs)}` };
  }
  if (input.awaited === 0) return { kind: "seal", because: world === 1 ? "its node joined" : `all ${world} nodes joined` };
  const most = input.limits.reduce((sum, limit) => sum + usableOf(limit, limit.max), 0);
  if (world === most) return { kind: "seal", because: `the most that may take part, ${count(world, "node")}, joined` };
  const untilMs = input.fitSinceMs + input.lastCallMs;
  if (input.nowMs < untilMs) return { kind: "wait", untilMs };
  return { kind: "seal", because: `${count(world, "node")} joined, ${input.awaited} did not within the last call of ${seconds(input.lastCallMs)}` };
}

/** What is missing, for a person. */
export function shortage(input: Pick<SealInput, "limits" | "joined">): string {
  const missing = input.limits.filter((limit) => usableOf(limit, input.joined.get(limit.role) ?? 0) === 0);
  return missing.map((limit) => `${input.joined.get(limit.role) ?? 0} of at least ${count(limit.min, limit.role)} joined`).join(", ");
}

/** The world that these nodes make (V1, V3), in the order of group ranks. Empty when a role has too few. */
export function arrangeWorld(limits: readonly RoleLimits[], joiners: readonly Joiner[]): Place[] {
  const seats: Joiner[] = [];
  for (const limit of [...limits].sort((a, b) => Number(b.role === "chief") - Number(a.role === "chief"))) {
    const ofRole = joiners.filter((joiner) => joiner.role === limit.role).sort(bySeniority);
    const chosen = ofRole.slice(0, usableOf(limit, ofRole.length));
    if (chosen.length === 0) return [];
    seats.push(...seat(chosen, seats.length));
  }
  let firstRank = 0;
  return seats.map(({ node, nproc }, groupRank) => {
    const place = { node, groupRank, firstRank, nproc };
    firstRank += nproc;
    return place;
  });
}

/** V3: whoever has a former place within these seats keeps it, the others fill what is free in the order of seniority. */
function seat(chosen: readonly Joiner[], offset: number): Joiner[] {
  const seats = new Map<number, Joiner>();
  const standing: Joiner[] = [];
  for (const joiner of chosen) {
    const at = (joiner.formerGroupRank ?? -1) - offset;
    if (at >= 0 && at < chosen.length && !seats.has(at)) seats.set(at, joiner);
    else standing.push(joiner);
  }
  const others = standing.values();
  return chosen.flatMap((_, at) => seats.get(at) ?? others.next().value ?? []);
}

function bySeniority(a: Joiner, b: Joiner): number {
  const former = (a.formerGroupRank ?? Infinity) - (b.formerGroupRank ?? Infinity);
  if (former !== 0 && !Number.isNaN(former)) return former;
  return a.nodeRank - b.nodeRank || (a.node < b.node ? -1 : 1);
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 || what === "ps" ? "" : "s"}`;
}

function seconds(ms: number): string {
  return `${ms / 1_000} s`;
}
