/** drover resume: takes up a job whose master is gone, goes on after a pause, or begins an ended job again from its script's checkpoints. */

import { existsSync, rmSync } from "node:fs";
import { BoundaryError } from "../../src/base/errors.js";
import { jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { startWatchedMaster } from "../../src/launch/watchdog.js";
import { JobClient } from "../../src/wire/client.js";
import { findJob, finalOf, statusOf } from "../jobs.js";
import { untilServed } from "../life-watch.js";
import { screenOf } from "../run-options.js";
import { followJob } from "../follow-job.js";

export async function resume(name: string | undefined, options: Readonly<{ json?: boolean; detach?: boolean }>): Promise<number> {
  const job = findJob(name);
  if (job.state === "live") {
    const { stage } = await statusOf(job);
    if (stage !== "paused") {
      throw new BoundaryError("JOB_RUNS", `${job.name} is ${stage}`, { hint: `drover logs ${job.name} -f follows it.` });
    }
    await new JobClient(job.dir).resume();
  } else if (finalOf(job.dir)?.job.stage === "succeeded") {
    throw new BoundaryError("JOB_ENDED", `${job.name} has succeeded`, { hint: "There is nothing left to do; drover run begins another." });
  }
  const screen = screenOf(null, null, null);
  const begin = async (): Promise<void> => {
    if (job.state !== "live") await takeUp(job.dir);
  };
  return followJob(job.dir, { isDetached: options.detach === true, isJson: options.json === true, screen, notes: [] }, begin);
}

async function takeUp(dir: string): Promise<void> {
  const files = jobFiles(dir);
  if (existsSync(files.final)) {
    writeJson(files.takeUp, { atMs: Date.now() });
    rmSync(files.final, { force: true });
  }
  await startWatchedMaster(dir);
  const status = await untilServed(dir);
  if (status?.stage === "paused") await new JobClient(dir).resume();
}
