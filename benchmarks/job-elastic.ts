/** A node joins, and a node is gone for good: how long until the first step at the new world. */

import { type Figure, figureOf } from "./figure.js";
import { hasBegun } from "./job-recovery.js";
import { Run } from "./job-runs.js";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);

type Status = { nodes: { id: string; agentPid: number; state: string }[]; ranks: { node: string; rank: number; pid: number }[] };

export async function run(): Promise<Figure[]> {
  const joinMs: number[] = [];
  const leaveMs: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const run = new Run();
    const options = ["--nnodes", "1:2", "--max-relaunches", "0", "--max-restarts", "100", "--keep-warm", "0"];
    run.drover(options, ["--steps", "100000", "--step-seconds", "0.01"]);
    await hasBegun(run);
    const worldOf = (world: number, sinceMs: number): Promise<number> =>
      run
        .firstStep(0, (line) => line.world === world && line.step !== "start" && line.atMs > sinceMs, 30_000)
        .then((step) => (step ? step.atMs - sinceMs : Promise.reject(new Error(`no step at a world of ${world}: ${run.output}`))));
    const before = run.steps(0).at(-1)?.world;
    if (before !== 2) {
      run.command("scale", "bench", "1");
      await worldOf(2, Date.now());
    }
    const askedAtMs = Date.now();
    run.command("scale", "bench", "2");
    joinMs.push(await worldOf(4, askedAtMs));

    const status = JSON.parse(run.command("status", "bench", "--json")) as Status;
    const victim = status.nodes.filter((node) => node.state === "running").at(-1);
    if (!victim) throw new Error("no node to kill");
    const pids = run.nodeProcesses(victim.id);
    const killedAtMs = Date.now();
    for (const pid of pids) process.kill(pid, "SIGKILL");
    leaveMs.push(await worldOf(2, killedAtMs));
    run.command("stop", "bench", "--kill");
    await run.ended();
    await run.close();
  }
  return [
    figureOf("a node joins (drover scale) → first step at the new world", "ms", joinMs, null, { atMost: 1000 }),
    figureOf("a node is gone for good → first step at the smaller world", "ms", leaveMs, null, { atMost: 2000 }),
  ];
}
