/**
 * The long kill loops: `kill -9` of a rank and of the master, 100 times each, in the middle of training.
 *
 * Every kill must be followed by another step; a master's death must restart no rank. `SOAK_KILLS` sets another number than 100.
 */

import { type Figure, figureOf } from "./figure.js";
import { hasBegun, killMaster, killRank } from "./job-recovery.js";
import { Run } from "./job-runs.js";

const kills = Number(process.env["SOAK_KILLS"] ?? 100);
const endless = ["--steps", "10000000", "--step-seconds", "0.01"];

export async function run(): Promise<Figure[]> {
  const run = new Run();
  run.drover(["--max-restarts", "100000", "--keep-warm", "0"], endless);
  await hasBegun(run);
  const ranks: number[] = [];
  let lost = 0;
  for (let kill = 0; kill < kills; kill++) {
    const took = await killRank(run, 20_000);
    if (took === null) lost++;
    else ranks.push(took);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  const masters: number[] = [];
  const pids = new Set(run.steps(0).slice(-1).map((line) => line.pid));
  const before = run.steps(0).length;
  for (let kill = 0; kill < kills; kill++) masters.push(await killMaster(run));
  const lines = run.steps(0).slice(before);
  const restarted = lines.filter((line) => !pids.has(line.pid)).length;
  const gaps = lines.slice(1).map((line, index) => line.atMs - (lines[index]?.atMs ?? line.atMs));
  run.command("stop", "bench", "--kill");
  await run.ended();
  await run.close();
  return [
    figureOf(`kill -9 of a rank, ${kills} times: never came back`, "kills", [lost], null, { atMost: 0 }),
    figureOf("kill -9 of a rank → first step of the next incarnation", "ms", ranks, null, {}),
    figureOf(`kill -9 of the master, ${kills} times → serves again`, "ms", masters, null, { atMost: 1000 }),
    figureOf("steps of restarted ranks while masters died", "steps", [restarted], null, { atMost: 0 }),
    figureOf("slowest step while masters died", "ms", [Math.max(...gaps)], null, { atMost: 1000 }),
  ];
}
