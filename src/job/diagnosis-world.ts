/**
 * The ranks of the running round as the Diagnosis Master sees them: steps and CPU, from what agents report. Plain
 * data, kept in memory only.
 *
 * Times are the master's, taken when a report arrives, so that the clocks of hosts do not matter.
 */

import type { RankProgress } from "./rank-report.js";

/** A node and how many ranks it has; a world has its nodes in the order of their ranks. */
export type WorldNode = Readonly<{ node: string; ranks: number }>;

export type RankTrack = {
  readonly rank: number;
  readonly node: string;
  /** Newest step, and when it was first heard of; null before the first. */
  step: number | null;
  stepAtMs: number | null;
  /** Of the window that is open: the step at its begin, and the CPU use reported in it. */
  windowStep: number | null;
  cpuSum: number;
  cpuCount: number;
  /** Windows in a row in which the rank was far slower than its peers. */
  slowWindows: number;
};

export type ObservedWorld = {
  readonly round: number;
  readonly ranks: ReadonlyMap<number, RankTrack>;
  /** When a rank was last heard to have made a step; null before the first. */
  advancedAtMs: number | null;
  furthest: number | null;
  furthestAtMs: number;
  /** Milliseconds a step, the newest `stepTimesMax`. */
  readonly stepTimesMs: number[];
  windowSinceMs: number;
};

const stepTimesMax = 101;

export function newWorld(round: number, nodes: readonly WorldNode[], nowMs: number): ObservedWorld {
  const places = nodes.flatMap(({ node, ranks }) => Array.from({ length: ranks }, () => node));
  const tracks = places.map((node, rank): [number, RankTrack] => [
    rank,
    { rank, node, step: null, stepAtMs: null, windowStep: null, cpuSum: 0, cpuCount: 0, slowWindows: 0 },
  ]);
  return {
    round,
    ranks: new Map(tracks),
    advancedAtMs: null,
    furthest: null,
    furthestAtMs: nowMs,
    stepTimesMs: [],
    windowSinceMs: nowMs,
  };
}

/** Takes in what a rank reports. Reports of other rounds and of unknown ranks change nothing. */
export function observeRank(world: ObservedWorld, progress: RankProgress, nowMs: number): void {
  const track = world.ranks.get(progress.rank);
  if (track === undefined || progress.round !== world.round) return;
  track.cpuSum += progress.cpuCores;
  track.cpuCount += 1;
  const { step } = progress;
  if (step === null || (track.step !== null && step <= track.step)) return;
  track.step = step;
  track.stepAtMs = nowMs;
  track.windowStep ??= step;
  world.advancedAtMs = nowMs;
  if (world.furthest === null) {
    world.furthest = step;
    world.furthestAtMs = nowMs;
  } else if (step > world.furthest) {
    world.stepTimesMs.push((nowMs - world.furthestAtMs) / (step - world.furthest));
    if (world.stepTimesMs.length > stepTimesMax) world.stepTimesMs.shift();
    world.furthest = step;
    world.furthestAtMs = nowMs;
  }
}

/** The middle of the newest step times; null before two steps. */
export function medianStepMs(world: ObservedWorld): number | null {
  return world.stepTimesMs.length === 0 ? null : upperMedian(world.stepTimesMs);
}

/** Of an even number of values the upper of the two in the middle; 0 of none. */
export function upperMedian(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Of an even number of values the lower of the two in the middle; 0 of none. */
export function lowerMedian(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[(values.length - 1) >> 1] ?? 0;
}
