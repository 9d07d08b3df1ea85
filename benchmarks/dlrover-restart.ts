/** A rank under a real dlrover-run is killed, and it is waited for the next step: with the master killed 3 s before, and without. */

import { readdirSync, readFileSync } from "node:fs";
import { DlroverJob } from "../test/e2e/dlrover-agent.js";
import { type Figure, figureOf } from "./figure.js";

const runs = Number(process.env["DROVER_BENCH_RUNS"] ?? 3);
const awayMs = 3_000;
/** DLRover 0.6.1's master forgets what world was wanted and waits its built-in 30 s: measured on such a machine, too long for each run of this. */
const stockSeconds = 33;

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** The training process of the job, by its pid out here. */
function rankProcess(job: DlroverJob): number {
  const isRank = (name: string): boolean => {
    try {
      const environment = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
      return environment.includes(`OUT=${job.out}`) && environment.includes("RANK=0") && readFileSync(`/proc/${name}/cmdline`, "utf8").includes("train.py");
    } catch {
      return false; // It ended, or is not ours.
    }
  };
  const found = readdirSync("/proc").find((name) => Number(name) > 0 && isRank(name));
  if (found === undefined) throw new Error("no rank runs");
  return Number(found);
}

/** Seconds from the death of the rank to the first step of the next. */
async function recovery(job: DlroverJob, isMasterKilled: boolean): Promise<number> {
  if (isMasterKilled) {
    await job.killMaster(1);
    await sleep(awayMs);
  }
  const known = new Set(job.steps(0).map(({ life }) => life));
  const since = performance.now();
  process.kill(rankProcess(job), "SIGKILL");
  const deadline = since + 60_000;
  while (job.steps(0).every(({ life }) => known.has(life))) {
    await sleep(10);
    if (performance.now() > deadline) throw new Error(`no step came after the death of a rank: ${job.agents[0]?.output.slice(-1_000) ?? ""}`);
  }
  const seconds = (performance.now() - since) / 1_000;
  await sleep(1_000);
  return seconds;
}

export async function run(): Promise<Figure[]> {
  const job = new DlroverJob("grpc");
  const [without, withDeath]: [number[], number[]] = [[], []];
  try {
    await job.begin(["--node-num", "1"]);
    job.start({ id: 0, args: ["--nnodes=1", "--nproc-per-node=1", "--max-restarts=100"], env: { STEPS: "1000000", STEP_SECONDS: "0.05" } });
    await job.untilStep(0, 2, 1);
    for (let run = 0; run < runs; run += 1) {
      without.push(await recovery(job, false));
      withDeath.push(await recovery(job, true));
    }
  } finally {
    await job.close();
  }
  const name = "the master killed, a rank killed 3 s later: time to its next step";
  return [
    figureOf(name, "s", withDeath, { name: "the same without the master's death", runs: without }, { atMost: 1.2 }),
    figureOf(`${name}, beside DLRover's master`, "s", withDeath, { name: "DLRover's master (constant)", runs: [stockSeconds] }, {}),
  ];
}
