/** What was last heard of nodes and ranks: heartbeats, steps, rates. Not durable; bounded by the nodes there are. */

import type { RankProgress } from "./rank-report.js";
import type { Gauges, NodeUse, RankGauge } from "./world-view.js";

/** `since`: what the newest rate is measured from. */
type Kept = RankGauge & Readonly<{ round: number; samples: number | null; since: Readonly<{ samples: number; atMs: number }> | null }>;

/** A rate over less than this says more of the messages' way than of the rank. */
const rateMsMin = 150;

export class RankGauges implements Gauges {
  readonly #heardAtMs = new Map<string, number>();
  readonly #suspects = new Set<string>();
  readonly #uses = new Map<string, NodeUse>();
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
    this.#uses.delete(node);
    this.#ranks.delete(node);
  }

  use(node: string, { cpuCores, memoryBytes, gpus }: NodeUse): void {
    this.#uses.set(node, { cpuCores, memoryBytes, gpus });
  }

  note(node: string, progress: RankProgress, nowMs: number): void {
    const ranks = this.#ranks.get(node) ?? [];
    const last = ranks[progress.localRank];
    const rate = rateOf(last?.round === progress.round ? last : undefined, progress.samples, nowMs);
    const { round, step, loss, samples, cpuCores, memoryBytes } = progress;
    ranks[progress.localRank] = { round, step, loss, samples, cpuCores, memoryBytes, ...rate };
    this.#ranks.set(node, ranks);
  }

  heardAtMs(node: string): number | null {
    return this.#heardAtMs.get(node) ?? null;
  }

  isSuspect(node: string): boolean {
    return this.#suspects.has(node);
  }

  useOf(node: string): NodeUse | null {
    return this.#uses.get(node) ?? null;
  }

  rankOf(node: string, localRank: number, round: number): RankGauge | null {
    const kept = this.#ranks.get(node)?.[localRank];
    return kept?.round === round ? kept : null;
  }
}

/** Half the newest rate, half what was before: steady enough to read, quick enough to follow. */
function rateOf(last: Kept | undefined, samples: number | null, nowMs: number): Pick<Kept, "samplesPerSecond" | "since"> {
  if (samples === null) return { samplesPerSecond: null, since: null };
  const since = { samples, atMs: nowMs };
  if (!last?.since) return { samplesPerSecond: null, since };
  const { samplesPerSecond } = last;
  const ms = nowMs - last.since.atMs;
  if (samples <= last.since.samples || ms < rateMsMin) return { samplesPerSecond, since: last.since };
  const newest = ((samples - last.since.samples) * 1_000) / ms;
  return { samplesPerSecond: samplesPerSecond === null ? newest : (newest + samplesPerSecond) / 2, since };
}
