/** One measured figure beside its reference, and the small statistics that every benchmark needs. */

export type Figure = Readonly<{
  name: string;
  /** Median of the runs, in `unit`. */
  value: number;
  unit: string;
  /** What it is compared with, measured in the same minute, or a published constant (then the name says so). */
  reference: Readonly<{ name: string; value: number }> | null;
  /** value / reference. */
  ratio: number | null;
  /** Bound on the ratio where there is a reference, else on the value. */
  mustReach: Readonly<{ atLeast?: number; atMost?: number }>;
  n: number;
  median: number;
  /** Smallest and largest run. */
  spread: readonly [number, number];
}>;

export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? Number.NaN) + upper) / 2;
}

/** The figure of some runs; `reference` as runs of the same measure, or one constant. */
export function figureOf(
  name: string,
  unit: string,
  runs: readonly number[],
  reference: Readonly<{ name: string; runs: readonly number[] }> | null,
  mustReach: Figure["mustReach"],
): Figure {
  const value = medianOf(runs);
  const against = reference === null ? null : { name: reference.name, value: medianOf(reference.runs) };
  return {
    name,
    value,
    unit,
    reference: against,
    ratio: against === null ? null : value / against.value,
    mustReach,
    n: runs.length,
    median: value,
    spread: [Math.min(...runs), Math.max(...runs)],
  };
}

/** Whether the figure reaches its bound. */
export function isReached(figure: Figure): boolean {
  const measured = figure.ratio ?? figure.value;
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = figure.mustReach;
  return measured >= atLeast && measured <= atMost;
}
