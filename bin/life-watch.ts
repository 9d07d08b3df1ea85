/** Whether anybody is left who brings a job to its end: its master, or the watchdog that starts another. */

import { existsSync } from "node:fs";
import { basename } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { BoundaryError } from "../src/base/errors.js";
import { jobFiles } from "../src/launch/job-folder.js";
import { JobClient } from "../src/wire/client.js";
import type { JobStatus } from "../src/wire/job-status.js";
import { finalOf, stateOf } from "./jobs.js";

/** No master and no watchdog for this long: nobody will bring the job back. */
const goneAfterMs = 5_000;
const askEveryMs = 50;
/** To look means to read a few files. */
const lookEveryMs = 500;

export class LifeWatch {
  readonly #dir: string;
  #lookedAtMs = -Infinity;
  #goneSinceMs: number | null = null;

  constructor(dir: string) {
    this.#dir = dir;
  }

  /** Looks, now and then. @throws BoundaryError JOB_DOWN when neither has been there for a while, and the job has not ended */
  mustLive(): void {
    if (performance.now() - this.#lookedAtMs < lookEveryMs) return;
    this.#lookedAtMs = performance.now();
    if (stateOf(this.#dir) === "live") {
      this.#goneSinceMs = null;
      return;
    }
    this.#goneSinceMs ??= performance.now();
    const { final, watchdogLog } = jobFiles(this.#dir);
    if (performance.now() - this.#goneSinceMs < goneAfterMs || existsSync(final)) return;
    const name = basename(this.#dir);
    const hint = `${watchdogLog} says why; drover resume ${name} takes the job up.`;
    throw new BoundaryError("JOB_DOWN", `the master of ${name} is gone`, { hint });
  }
}

/**
 * What the master of a job that was just begun or taken up says first, however long a loaded machine needs for its start; null: the job ended before.
 *
 * @throws BoundaryError JOB_DOWN
 */
export async function untilServed(dir: string): Promise<JobStatus | null> {
  const client = new JobClient(dir, { patienceMs: 1_000 });
  const life = new LifeWatch(dir);
  while (finalOf(dir) === null) {
    const status = await client.status().catch((error: unknown) => {
      if (error instanceof BoundaryError && error.code === "MASTER_UNREACHABLE") return null;
      throw error;
    });
    if (status) return status;
    life.mustLive();
    await delay(askEveryMs);
  }
  return null;
}
