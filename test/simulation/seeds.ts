/**
 * Runs a scenario for many seeds; a failing one prints itself, and `SEED=<n>` runs it alone.
 */

/** Seeds from 1 to `count`, or the one of the environment. */
export function seedsOf(count: number): readonly number[] {
  const only = process.env["SEED"];
  return only === undefined ? Array.from({ length: count }, (_, nth) => nth + 1) : [Number(only)];
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
