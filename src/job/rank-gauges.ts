/** What was last heard of nodes and ranks: heartbeats, steps, rates. Not durable; bounded by the nodes there are. */

import type { RankProgress } from "./rank-report.js";
import type { Gauges, RankGauge } from "./world-view.js";

type Kept = RankGauge & Readonly<{ round: number; samples: number | null; atMs: number }>;

export class RankGauges implements Gauges {
  readonly #heardAtMs = new Map<string, number>();
  readonly #suspects = new Set<string>();
  readonly #ranks = new Map<string, Kept[]>();

  /** Any request of an agent is a heartbeat. */
  hear(node: string, nowMs: number): void {
    this.#heardAtMs.set(node, nowMs);
    this.#suspects.delete(node);
  }

  suspect(node: string): void {
    this.#suspects.add(node);
  }

  forget(node: string): void {
    this.#heardAtMs.delete(node);
    this.#suspects.delete(node);
    this.#ranks.delete(node);
  }

  note(node: string, progress: RankProgress, nowMs: number): void {
    const ranks = this.#ranks.get(node) ?? [];
    const last = ranks[progress.localRank];
    const samplesPerSecond = rateOf(last?.round === progress.round ? last : undefined, progress, nowMs);
    const { round, step, loss, samples, cpuCores, memoryBytes } = progress;
    const isNewCount = samples !== last?.samples || last.round !== round;
    const atMs = isNewCount ? nowMs : last.atMs;
    ranks[progress.localRank] = { round, step, loss, samples, cpuCores, memoryBytes, samplesPerSecond, atMs };
    this.#ranks.set(node, ranks);
  }

  heardAtMs(node: string): number | null {
    return this.#heardAtMs.get(node) ?? null;
  }

  isSuspect(node: string): boolean {
    return this.#suspects.has(node);
  }

  rankOf(node: string, localRank: number, round: number): RankGauge | null {
    const kept = this.#ranks.get(node)?.[localRank];
    return kept?.round === round ? kept : null;
  }
}

/** Half the newest rate, half what was before: steady enough to read, quick enough to follow. */
function rateOf(last: Kept | undefined, progress: RankProgress, nowMs: number): number | null {
  if (progress.samples === null || last?.samples == null) return null;
  const ms = nowMs - last.atMs;
  if (progress.samples <= last.samples || ms <= 0) return last.samplesPerSecond;
  const newest = ((progress.samples - last.samples) * 1_000) / ms;
  return last.samplesPerSecond === null ? newest : (newest + last.samplesPerSecond) / 2;
}
