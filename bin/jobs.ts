/** The jobs under a home: which there are, which live, and which one a command means. */

import { existsSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { BoundaryError } from "../src/base/errors.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { type MasterRecord, droverHome, jobDirOf, jobFiles, readJson } from "../src/launch/job-folder.js";
import { isAlive } from "../src/launch/process-identity.js";
import { JobClient } from "../src/wire/client.js";
import type { JobStatus } from "../src/wire/job-status.js";

/** `live`: a master or its watchdog runs; `ended`: it came to its end; `down`: neither, drover resume takes it up. */
export type JobState = "live" | "ended" | "down";

export type JobEntry = Readonly<{ name: string; dir: string; state: JobState; startedAtMs: number }>;

export const home = (): string => droverHome(process.env);

type WatchdogRecord = Readonly<{ pid: number; startTime: string }>;

export function stateOf(dir: string): JobState {
  const files = jobFiles(dir);
  const processes = [readJson(files.watchdog), readJson(files.master)] as (WatchdogRecord | MasterRecord | null)[];
  if (processes.some((record) => record !== null && isAlive(record))) return "live";
  return existsSync(files.final) ? "ended" : "down";
}

/** All jobs, newest first. */
export function listJobs(): JobEntry[] {
  const folder = join(home(), "jobs");
  if (!existsSync(folder)) return [];
  return readdirSync(folder)
    .map((name) => ({ name, dir: join(folder, name) }))
    .filter(({ dir }) => existsSync(jobFiles(dir).spec))
    .map(({ name, dir }) => {
      const master = readJson(jobFiles(dir).master) as MasterRecord | null;
      return { name, dir, state: stateOf(dir), startedAtMs: master?.startedAtMs ?? 0 };
    })
    .sort((a, b) => b.startedAtMs - a.startedAtMs);
}

/**
 * The job of that name; without one, the only live job, else the newest.
 *
 * @throws BoundaryError JOB_NOT_FOUND, JOB_AMBIGUOUS
 */
export function findJob(name: string | undefined): JobEntry {
  const jobs = listJobs();
  const named = jobs.find((job) => job.name === name);
  if (named) return named;
  const hint = "drover ps lists what there is; DROVER_HOME says where it is looked for.";
  if (name !== undefined) throw new BoundaryError("JOB_NOT_FOUND", `there is no job ${name} under ${home()}`, { value: name, hint });
  const live = jobs.filter(({ state }) => state === "live");
  if (live.length > 1) {
    const names = live.map((job) => job.name).join(", ");
    throw new BoundaryError("JOB_AMBIGUOUS", `several jobs run: ${names}`, { allowed: names, hint: "Say which one." });
  }
  const [found] = live.length === 1 ? live : jobs;
  if (!found) throw new BoundaryError("JOB_NOT_FOUND", `there is no job under ${home()}`, { hint });
  return found;
}

/** Makes room for a job of that name: an ended one is kept as `<name>.previous`, a living one refused. */
export function makeRoom(name: string): string {
  const dir = jobDirOf(home(), name);
  if (!existsSync(jobFiles(dir).spec)) return dir;
  const state = stateOf(dir);
  if (state !== "ended") {
    const hint = state === "live" ? `drover status ${name} shows it; drover stop ${name} ends it.` : `drover resume ${name} takes it up; drover stop ${name} gives it up.`;
    throw new BoundaryError("JOB_EXISTS", `the job ${name} ${state === "live" ? "runs" : "is down, but has not ended"}`, { value: name, hint });
  }
  rmSync(`${dir}.previous`, { recursive: true, force: true });
  renameSync(dir, `${dir}.previous`);
  return dir;
}

export type FinalRecord = Readonly<{ job: JobStatus; endedAtMs: number | null }>;

export function finalOf(dir: string): FinalRecord | null {
  return readJson(jobFiles(dir).final) as FinalRecord | null;
}

export function specOf(dir: string): JobSpec {
  return readJson(jobFiles(dir).spec) as JobSpec;
}

/**
 * The status of a job, from its master, or from its folder once it has ended.
 *
 * @throws BoundaryError JOB_DOWN
 */
export async function statusOf(job: JobEntry, patienceMs = 5_000): Promise<JobStatus> {
  const final = finalOf(job.dir);
  if (final) {
    const master = { ...final.job.master, pid: job.state === "live" ? final.job.master.pid : null };
    return { ...final.job, master };
  }
  if (job.state === "down") {
    const hint = `drover resume ${job.name} takes it up; drover stop ${job.name} gives it up.`;
    throw new BoundaryError("JOB_DOWN", `${job.name} is down: neither its master nor its watchdog lives`, { value: job.name, hint });
  }
  return new JobClient(job.dir, { patienceMs }).status();
}
