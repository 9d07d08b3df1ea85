/**
 * A hang: the ranks of a round had begun to make steps, and none of them makes one any more.
 *
 * In synchronous training one rank that stands still holds up all others, so it is the world that stands still; a
 * rank that stands still while others go on is a straggler or has ended. Before the first step nothing is a hang:
 * compiling and loading take what they take.
 */

import { medianStepMs, type ObservedWorld } from "./diagnosis-world.js";
import type { RankStack } from "./diagnosis-stacks.js";

/** A job whose steps take long is given this many of them, whatever the time-out. */
const stepsOfPatience = 10;

/** When the world counts as hung unless a rank makes a step before; null while it cannot. */
export function hangDueAtMs(world: ObservedWorld, hangTimeoutMs: number): number | null {
  if (hangTimeoutMs === 0 || world.advancedAtMs === null) return null;
  return world.advancedAtMs + Math.max(hangTimeoutMs, stepsOfPatience * (medianStepMs(world) ?? 0));
}

export type Culprit = Readonly<{ rank: number; why: string }>;

/**
 * The rank that the others wait for: the only one with the lowest step; among equals the only one that does not wait in
 * a collective itself, or else the only one whose stack differs from the others, which are the same. Null where none of
 * these singles one out.
 */
export function culpritOf(world: ObservedWorld, stacks: readonly RankStack[]): Culprit | null {
  const steps = [...world.ranks.values()].flatMap(({ rank, step }) => (step === null ? [] : [{ rank, step }]));
  const least = steps.reduce((lowest, { step }) => Math.min(lowest, step), Number.POSITIVE_INFINITY);
  const behind = steps.filter(({ step }) => step === least);
  const [last] = behind;
  if (last !== undefined && behind.length === 1 && steps.length > 1) {
    return { rank: last.rank, why: `it is at step ${least}, its peers are further` };
  }
  return onlyBusyOne(world, stacks) ?? oddOneOut(stacks);
}

/** Ranks and how far they are, one a line, those that are behind first; at most `linesMax` lines. */
export function describeSteps(world: ObservedWorld, nowMs: number, linesMax: number): string {
  const tracks = [...world.ranks.values()].sort((a, b) => (a.step ?? -1) - (b.step ?? -1) || a.rank - b.rank);
  const lines = tracks.slice(0, linesMax).map(({ rank, node, step, stepAtMs }) => {
    const since =
      stepAtMs === null ? "never reported a step" : `at step ${step ?? 0} since ${seconds(nowMs - stepAtMs)}`;
    return `rank ${rank} on ${node}: ${since}`;
  });
  if (tracks.length > linesMax) lines.push(`and ${tracks.length - linesMax} ranks more`);
  return lines.join("\n");
}

export function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}

function onlyBusyOne(world: ObservedWorld, stacks: readonly RankStack[]): Culprit | null {
  if (stacks.length < world.ranks.size) return null; // It may be one of those that are missing.
  const [busy, ...others] = stacks.filter(({ waitsIn }) => waitsIn === null);
  const frame = stacks.find(({ waitsIn }) => waitsIn !== null)?.waitsIn;
  if (busy === undefined || others.length > 0 || frame === undefined || frame === null) return null;
  return { rank: busy.rank, why: `they are in ${frame}, it is not` };
}

function oddOneOut(stacks: readonly RankStack[]): Culprit | null {
  const ranks = new Map<string, number[]>();
  for (const { rank, signature } of stacks) ranks.set(signature, [...(ranks.get(signature) ?? []), rank]);
  const groups = [...ranks.values()].sort((a, b) => a.length - b.length);
  const [odd, others] = groups;
  if (groups.length !== 2 || odd?.length !== 1 || (others?.length ?? 0) < 2) return null;
  return { rank: odd[0] ?? 0, why: "its stack differs from those of its peers, which are all the same" };
}
