/** `kill -9` of a rank, and of the master, in the middle of training: how long until the next step; torchrun in turn for the rank. */

import { readFileSync } from "node:fs";
import { type Figure, figureOf } from "./figure.js";
import { Run, type Step } from "./job-runs.js";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const endless = ["--steps", "100000", "--step-seconds", "0.01"];

/** Kills rank 1 and waits for the first step of a new process of rank 0; null when that never came. */
export async function killRank(run: Run, timeoutMs: number): Promise<number | null> {
  const known = new Set(run.steps(0).map((line) => line.pid));
  const victim = run.steps(1).at(-1)?.pid;
  if (victim === undefined) throw new Error("rank 1 has not begun");
  const killedAtMs = Date.now();
  process.kill(victim, "SIGKILL");
  const next = await run.firstStep(0, (line) => !known.has(line.pid) && line.step !== "start", timeoutMs);
  return next ? next.atMs - killedAtMs : null;
}

export async function hasBegun(run: Run): Promise<void> {
  const after = (line: Step): boolean => typeof line.step === "number" && line.step >= 3;
  for (const rank of [0, 1]) if (!(await run.firstStep(rank, after, 60_000))) throw new Error(`no steps within 60 s: ${run.output}`);
}

async function ranksKilled(): Promise<{ torchrun: number[]; drover: number[]; lost: number }> {
  const torchrun: number[] = [];
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const reference = new Run();
    reference.torchrun(["--max-restarts", "3"], endless);
    await hasBegun(reference);
    const took = await killRank(reference, 15_000);
    if (took === null) lost++;
    else torchrun.push(took);
    await reference.close();
  }
  const run = new Run();
  run.drover(["--max-restarts", "1000", "--keep-warm", "0"], endless);
  await hasBegun(run);
  const drover: number[] = [];
  for (let round = 0; round < rounds * 4; round++) {
    const took = await killRank(run, 15_000);
    if (took === null) throw new Error(`kill ${round + 1} never recovered: ${run.output}`);
    drover.push(took);
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  run.command("stop", "bench", "--kill");
  await run.ended();
  await run.close();
  return { torchrun, drover, lost };
}

/** Milliseconds from the death of the master until the next one answers; and the slowest step meanwhile. */
async function mastersKilled(): Promise<{ backMs: number[]; slowestStepMs: number }> {
  const run = new Run();
  run.drover(["--keep-warm", "0"], endless);
  await hasBegun(run);
  const backMs: number[] = [];
  const pids = new Set(run.steps(0).map((line) => line.pid));
  for (let round = 0; round < rounds; round++) {
    backMs.push(await killMaster(run));
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  const lines = run.steps(0);
  if (lines.some((line) => !pids.has(line.pid))) throw new Error("a rank was restarted when the master died");
  const times = lines.filter((line) => line.step !== "start").map((line) => line.atMs);
  const slowestStepMs = Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
  run.command("stop", "bench", "--kill");
  await run.ended();
  await run.close();
  return { backMs, slowestStepMs };
}

type Node = Readonly<{ id: string; agentPid: number; state: string }>;

/** Milliseconds from the death of the nursery, and all ranks with it, to the next step; and of the agent to the next one, which adopts the ranks. */
async function nodesKilled(): Promise<{ nurseryMs: number[]; agentMs: number[] }> {
  const run = new Run();
  run.drover(["--max-restarts", "1000", "--keep-warm", "0"], endless);
  await hasBegun(run);
  const nurseryMs: number[] = [];
  const agentMs: number[] = [];
  const nodeNow = (): Node | undefined => (JSON.parse(run.command("status", "bench", "--json")) as { nodes: Node[] }).nodes[0];
  for (let round = 0; round < rounds; round++) {
    const before = run.steps(0).at(-1)?.pid ?? 0;
    const killedAtMs = Date.now();
    process.kill(Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${before}/status`, "utf8"))?.[1]), "SIGKILL");
    const next = await run.firstStep(0, (line) => line.pid !== before && line.step !== "start" && line.atMs > killedAtMs, 20_000);
    if (!next) throw new Error(`no step after the nursery died: ${run.output}`);
    nurseryMs.push(next.atMs - killedAtMs);
    await new Promise((resolve) => setTimeout(resolve, 500));

    const agent = nodeNow()?.agentPid ?? 0;
    const agentKilledAtMs = Date.now();
    process.kill(agent, "SIGKILL");
    for (;;) {
      const node = nodeNow();
      if (node && node.agentPid !== agent && node.state === "running") break;
      if (Date.now() - agentKilledAtMs > 20_000) throw new Error(`no agent came back: ${run.output}`);
    }
    agentMs.push(Date.now() - agentKilledAtMs);
    if (run.steps(0).at(-1)?.pid !== next.pid) throw new Error("a rank was restarted when its agent died");
  }
  run.command("stop", "bench", "--kill");
  await run.ended();
  await run.close();
  return { nurseryMs, agentMs };
}

export async function run(): Promise<Figure[]> {
  const ranks = await ranksKilled();
  const node = await nodesKilled();
  const master = await mastersKilled();
  const name = `torchrun, same script (${ranks.lost} of ${rounds} never came back)`;
  return [
    figureOf("kill -9 of a rank → first step of the next incarnation", "ms", ranks.drover, { name, runs: ranks.torchrun }, { atMost: 0.1 }),
    figureOf("kill -9 of a nursery, its ranks with it → first step of the next incarnation", "ms", node.nurseryMs, null, {}),
    figureOf("kill -9 of an agent → the next one has the ranks, none restarted", "ms", node.agentMs, null, {}),
    figureOf("kill -9 of the master → it serves again", "ms", master.backMs, null, { atMost: 1000 }),
    figureOf("slowest step while the master died", "ms", [master.slowestStepMs], null, { atMost: 1000 }),
  ];
}

/** Kills the master and gives the milliseconds until its successor is ready. */
export async function killMaster(run: Run): Promise<number> {
  const { master } = JSON.parse(run.command("status", "bench", "--json")) as { master: { pid: number; address: string } };
  const killedAtMs = Date.now();
  process.kill(master.pid, "SIGKILL");
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 5));
    const answer = await fetch(`http://${master.address}/readyz`).catch(() => null);
    if (answer?.ok === true) return Date.now() - killedAtMs;
    if (Date.now() - killedAtMs > 30_000) throw new Error(`the master did not come back within 30 s: ${run.output}`);
  }
}
