/**
 * Runs a scenario for many seeds; a failing one prints itself, and `SEED=<n>` runs it alone. `SEEDS=<n>` runs more of
 * them than `npm test` does.
 */

import type { SimCounts } from "../../src/sim/sim-system.js";

/** Seeds from 1 to `count` (or to the environment's `SEEDS`), or the environment's `SEED` alone. */
export function seedsOf(count: number): readonly number[] {
  const { SEED: only, SEEDS: most } = process.env;
  if (only !== undefined) return [Number(only)];
  return Array.from({ length: Number(most ?? count) }, (_, nth) => nth + 1);
}

/** Fails unless the runs together met each kind of fault at least this often. */
export function mustHaveMet(reports: readonly Readonly<{ counts: SimCounts }>[], least: SimCounts): void {
  for (const [fault, times] of Object.entries(least)) {
    const met = reports.reduce((sum, { counts }) => sum + counts[fault as keyof SimCounts], 0);
    if (met < times) throw new Error(`${met} ${fault} in ${reports.length} runs, and at least ${times} were meant`);
  }
}

/** Runs every seed, and fails with the first that fails. */
export async function runSeeds<Report>(
  seeds: readonly number[],
  file: string,
  simulate: (seed: number) => Promise<Report>,
): Promise<Report[]> {
  const reports: Report[] = [];
  for (const seed of seeds) {
    try {
      reports.push(await simulate(seed));
    } catch (thrown) {
      const why = thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
      throw new Error(`seed ${seed}: ${why}\nReplay: SEED=${seed} npx mocha dist/test/simulation/${file}.test.js`);
    }
  }
  return reports;
}
