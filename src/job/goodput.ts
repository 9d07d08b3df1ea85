/**
 * Goodput: the share of the time since the start that went into steps which no failure undid.
 *
 * A segment is the steps that one incarnation of the world has made. When the next incarnation begins at step s, whatever earlier ones had made
 * of s and beyond was for nothing; a segment that is cut loses time in proportion to its steps.
 *
 * - G1  0 ≤ goodput ≤ 1.
 * - G2  Segments are disjoint and in order of their steps; there are at most `segmentsMax`, the two oldest are merged beyond it.
 */

/** Steps `first` … `last`, both included, and the time that they took. */
export type Segment = Readonly<{ first: number; last: number; ms: number }>;

/** What the running incarnation has made so far. `readyAtMs`: its ranks began; a first step cannot have begun before. */
export type LiveSegment = { round: number; readyAtMs: number; first: number; firstAtMs: number; last: number; lastAtMs: number };

export type Goodput = { readonly startedAtMs: number; endedAtMs: number | null; segments: Segment[]; live: LiveSegment | null; furthest: number | null };

export const segmentsMax = 64;

export function openGoodput(startedAtMs: number): Goodput {
  return { startedAtMs, endedAtMs: null, segments: [], live: null, furthest: null };
}

/** The world of `round`, whose ranks began at `readyAtMs`, has reached `step`. */
export function noteStep(goodput: Goodput, round: number, readyAtMs: number, step: number, atMs: number): void {
  goodput.furthest = Math.max(goodput.furthest ?? step, step);
  const { live } = goodput;
  if (live?.round === round && step >= live.first) {
    if (step > live.last) Object.assign(live, { last: step, lastAtMs: Math.max(atMs, live.lastAtMs) });
    return;
  }
  settleLive(goodput);
  goodput.segments = undoFrom(goodput.segments, step);
  goodput.live = { round, readyAtMs, first: step, firstAtMs: atMs, last: step, lastAtMs: atMs };
}

/** The time is up: what comes later is not counted. */
export function closeGoodput(goodput: Goodput, atMs: number): void {
  settleLive(goodput);
  goodput.endedAtMs = atMs;
}

/** Null while no step is known. */
export function goodputOf(goodput: Readonly<Goodput>, nowMs: number): number | null {
  if (goodput.furthest === null) return null;
  const wholeMs = (goodput.endedAtMs ?? nowMs) - goodput.startedAtMs;
  if (wholeMs <= 0) return 0;
  const liveMs = goodput.live ? segmentOf(goodput.live).ms : 0;
  const usefulMs = goodput.segments.reduce((sum, segment) => sum + segment.ms, liveMs);
  return Math.min(1, usefulMs / wholeMs); // G1
}

function settleLive(goodput: Goodput): void {
  if (!goodput.live) return;
  goodput.segments = undoFrom(goodput.segments, goodput.live.first);
  goodput.segments.push(segmentOf(goodput.live));
  goodput.live = null;
  const [oldest, next, ...rest] = goodput.segments;
  if (oldest && next && goodput.segments.length > segmentsMax) {
    goodput.segments = [{ first: oldest.first, last: next.last, ms: oldest.ms + next.ms }, ...rest]; // G2
  }
}

/** The first step is only seen when it is done; it is taken to have lasted as long as the others on average. */
function segmentOf(live: Readonly<LiveSegment>): Segment {
  const seenMs = live.lastAtMs - live.firstAtMs;
  const steps = live.last - live.first;
  const firstMs = steps === 0 ? 0 : Math.min(seenMs / steps, Math.max(0, live.firstAtMs - live.readyAtMs));
  return { first: live.first, last: live.last, ms: seenMs + firstMs };
}

function undoFrom(segments: readonly Segment[], step: number): Segment[] {
  return segments.flatMap((segment) => {
    if (segment.last < step) return [segment];
    if (segment.first >= step) return [];
    const kept = (step - segment.first) / (segment.last - segment.first + 1);
    return [{ first: segment.first, last: step - 1, ms: segment.ms * kept }];
  });
}

/** The last step of this round that is known here; null before the first. */
export function goodputStep(goodput: Readonly<Goodput>, round: number): number | null {
  return goodput.live?.round === round ? goodput.live.last : null;
}
