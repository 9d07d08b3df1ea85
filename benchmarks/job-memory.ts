/** Memory (PSS) of master, watchdog and agent of an idle job, without the nursery; Ray's processes as the reference. */

import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { type Figure, figureOf } from "./figure.js";
import { Run } from "./job-runs.js";

/** Ray 2.x, `ray start --head --include-dashboard=false`, idle, measured on such a machine: it is not installed for this benchmark. */
const rayPssMb = 459;

function pssMb(pid: number): number {
  const kb = /^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1];
  return Number(kb) / 1024;
}

export async function run(): Promise<Figure[]> {
  const run = new Run();
  run.droverCommand(["--no-python", "sleep", "60"]);
  const deadline = Date.now() + 20_000;
  let runs: number[] = [];
  try {
    while (!isIdle(run)) {
      if (Date.now() > deadline) throw new Error(`the job did not begin: ${run.output}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    await new Promise((resolve) => setTimeout(resolve, 3000));
    runs = [0, 1, 2].map(() => controlPids(run).reduce((sum, pid) => sum + pssMb(pid), 0));
    run.command("stop", "bench", "--kill");
    await run.ended();
  } finally {
    await run.close();
  }
  const reference = { name: "Ray's idle processes without dashboard (constant)", runs: [rayPssMb] };
  return [figureOf("memory (PSS) of master, watchdog and agent, idle job", "MB", runs, reference, { atMost: 0.5 })];
}

function isIdle(run: Run): boolean {
  try {
    return (JSON.parse(run.command("status", "bench", "--json")) as { stage: string }).stage === "running";
  } catch {
    return false; // Not there yet; the deadline of the caller bounds it.
  }
}

function controlPids(run: Run): number[] {
  return run.processes().filter((pid) => {
    const command = execFileSync("cat", [`/proc/${pid}/cmdline`]).toString().replaceAll("\0", " ");
    return /bin\/(master|watchdog|agent)\.js/.test(command);
  });
}
