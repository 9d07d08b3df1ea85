/** drover stop, pause and scale: what a person asks of a job. */

import { setTimeout as delay } from "node:timers/promises";
import { BoundaryError } from "../../src/base/errors.js";
import { jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { sweepJob } from "../../src/launch/process-sweep.js";
import { stopSpares } from "../../src/launch/spare.js";
import { stopZygotes } from "../../src/launch/zygote.js";
import { JobClient } from "../../src/wire/client.js";
import { findJob, finalOf, home, stateOf } from "../jobs.js";

type StopOptions = Readonly<{ kill?: boolean; warm?: boolean; json?: boolean }>;

function print(isJson: boolean | undefined, record: object, text: string): void {
  process.stdout.write(`${isJson === true ? JSON.stringify(record) : text}\n`);
}

export async function stop(name: string | undefined, options: StopOptions): Promise<number> {
  if (options.warm === true) {
    const [count, spares] = await Promise.all([stopZygotes(home()), stopSpares(home())]);
    print(options.json, { stoppedWarm: count, stoppedSpares: spares }, `${count} warm interpreter(s) and ${spares} spare process(es) ended.`);
    if (name === undefined) return 0;
  }
  const job = findJob(name);
  if (job.state === "ended") {
    print(options.json, { job: job.name, stage: finalOf(job.dir)?.job.stage }, `${job.name} has ended already (${finalOf(job.dir)?.job.stage ?? "?"}).`);
    return 0;
  }
  if (job.state === "down") return giveUp(job.name, job.dir, options);
  await new JobClient(job.dir).stop("stopped by a person", options.kill === true);
  while (stateOf(job.dir) === "live") await delay(50);
  print(options.json, { job: job.name, stage: finalOf(job.dir)?.job.stage }, `${job.name} ${finalOf(job.dir)?.job.stage ?? "stopped"}.`);
  return 0;
}

/** A job without a master: its processes are ended here, and it is marked as stopped. */
async function giveUp(name: string, dir: string, options: StopOptions): Promise<number> {
  const count = await sweepJob(dir);
  const reason = { code: "STOPPED_BY_USER", message: "stopped by a person while its master was down" };
  const endedAtMs = Date.now();
  const none = { round: 0, worldSize: 0, nodes: [], ranks: [], restarts: 0, relaunches: 0, maxRestarts: 0, step: null, samplesPerSecond: null, loss: null, goodput: null };
  const job = { ...none, job: name, stage: "stopped", reason, createdAtMs: endedAtMs, endedAtMs, master: { pid: null, address: null, restarts: 0 } };
  writeJson(jobFiles(dir).final, { job, endedAtMs });
  print(options.json, { job: name, stage: "stopped" }, `${name} was down; ${count} process(es) of it ended.`);
  return 0;
}

export async function pause(name: string | undefined, options: Readonly<{ json?: boolean }>): Promise<number> {
  const job = findJob(name);
  await new JobClient(job.dir).pause("paused by a person");
  print(options.json, { job: job.name, stage: "paused" }, `${job.name} is paused; drover resume ${job.name} goes on.`);
  return 0;
}

export async function scale(first: string, second: string | undefined, options: Readonly<{ json?: boolean }>): Promise<number> {
  const [name, text] = second === undefined ? [undefined, first] : [first, second];
  const nodes = Number(text);
  if (!Number.isSafeInteger(nodes) || nodes < 1) {
    throw new BoundaryError("USAGE", `the number of nodes is ${JSON.stringify(text)}`, { value: text, allowed: "a whole number from 1", hint: "drover scale [job] N" });
  }
  const job = findJob(name);
  const { from, to } = await new JobClient(job.dir).scale(nodes);
  print(options.json, { job: job.name, from, to }, from === to ? `${job.name} has ${to} node(s) already.` : `${job.name}: ${from} → ${to} node(s).`);
  return 0;
}
