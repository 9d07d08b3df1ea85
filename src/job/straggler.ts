/**
 * A straggler: a rank that is far slower than its peers, window after window.
 *
 * What can be seen from outside is limited, and this says no more than that. Ranks that do not wait for each other
 * differ in the steps that they make. Ranks that step together (DistributedDataParallel) do not; there the slow one
 * computes while the others wait, which shows as CPU use where waiting costs none (gloo) and three ranks or more can
 * be compared, and does not show where waiting spins (NCCL) or the work is on a GPU.
 */

import { lowerMedian, type ObservedWorld, type RankTrack, upperMedian } from "./diagnosis-world.js";

/** A window is at least this long, and has at least this many steps of a middling rank. */
export const windowMsMin = 60_000;
const windowStepsMin = 10;
/** Windows in a row that make a straggler. */
const slowWindowsMin = 3;
/** CPU cores: peers below it wait more than they work, a rank above it works. */
const waitingCores = 0.5;

export type Straggler = Readonly<{ rank: number; node: string; evidence: string }>;

/**
 * Closes the window if it is long enough, and gives back the ranks that were slow in it and in the windows before. 0
 * turns `factor` off.
 */
export function closeWindow(world: ObservedWorld, factor: number, nowMs: number): Straggler[] {
  const tracks = [...world.ranks.values()].filter(({ windowStep }) => windowStep !== null);
  const middle = upperMedian(tracks.map(stepsMade));
  if (factor === 0 || nowMs - world.windowSinceMs < windowMsMin || tracks.length < 2 || middle < windowStepsMin)
    return [];
  const stragglers: Straggler[] = [];
  const peersCpu = lowerMedian(tracks.map(cpuCores));
  for (const track of tracks) {
    const evidence = slowBySteps(track, middle, factor) ?? slowByCpu(track, peersCpu, factor, tracks.length);
    track.slowWindows = evidence === null ? 0 : track.slowWindows + 1;
    if (evidence !== null && track.slowWindows >= slowWindowsMin) {
      stragglers.push({
        rank: track.rank,
        node: track.node,
        evidence: `${evidence}, in each of the last ${track.slowWindows} windows`,
      });
    }
  }
  openWindow(world, nowMs);
  return stragglers;
}

function slowBySteps(track: RankTrack, middle: number, factor: number): string | null {
  const made = stepsMade(track);
  return made * factor > middle ? null : `it made ${made} steps while a middling rank made ${middle}`;
}

function slowByCpu(track: RankTrack, peersCpu: number, factor: number, ranks: number): string | null {
  const own = cpuCores(track);
  if (ranks < 3 || own < waitingCores || peersCpu >= waitingCores || own < factor * peersCpu) return null;
  const [mine, theirs] = [own.toFixed(2), peersCpu.toFixed(2)];
  return `it used ${mine} cores while its peers, at the same step, used ${theirs} and seem to wait for it`;
}

function openWindow(world: ObservedWorld, nowMs: number): void {
  world.windowSinceMs = nowMs;
  for (const track of world.ranks.values()) {
    track.windowStep = track.step;
    track.cpuSum = 0;
    track.cpuCount = 0;
  }
}

function stepsMade({ step, windowStep }: RankTrack): number {
  return (step ?? 0) - (windowStep ?? 0);
}

function cpuCores({ cpuSum, cpuCount }: RankTrack): number {
  return cpuCount === 0 ? 0 : cpuSum / cpuCount;
}
