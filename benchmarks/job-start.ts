/** How long from the command to the first optimizer step, two gloo ranks: cold, and again within --keep-warm; torchrun in turn. */

import { type Figure, figureOf } from "./figure.js";
import { Run } from "./job-runs.js";

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);

async function firstStepMs(run: Run): Promise<number> {
  const step = await run.firstStep(0, (line) => line.step === 0, 60_000);
  if (!step) throw new Error(`no first step within 60 s: ${run.output}`);
  const took = step.atMs - run.startedAtMs;
  const code = await run.ended();
  if (code !== 0) throw new Error(`the run ended with ${String(code)}: ${run.output}`);
  return took;
}

export async function run(): Promise<Figure[]> {
  const short = ["--steps", "3", "--step-seconds", "0"];
  const torchrun: number[] = [];
  const cold: number[] = [];
  const warm: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const reference = new Run();
    reference.torchrun([], short);
    torchrun.push(await firstStepMs(reference));
    await reference.close();

    const first = new Run();
    first.drover(["--keep-warm", "60s"], short);
    cold.push(await firstStepMs(first));
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // Whoever runs it again by hand takes longer.
    const second = new Run(first.home);
    second.drover(["--keep-warm", "60s"], short);
    warm.push(await firstStepMs(second));
    second.command("stop", "--warm");
    await first.close();
    await second.close();
  }
  const reference = { name: "torchrun --standalone, same script", runs: torchrun };
  return [
    figureOf("drover run → first optimizer step, nothing warm", "ms", cold, reference, { atMost: 0.7 }),
    figureOf("the same, again within --keep-warm, a second later", "ms", warm, reference, { atMost: 0.15 }),
  ];
}
