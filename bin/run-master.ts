/**
 * The master of one job in this process, to the job's end.
 *
 * Writes `master.json` once it serves and `final.json` once the job has ended.
 */

import { appendFileSync, existsSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { pino } from "pino";
import { type MasterSystem, openJob } from "../embed/start-job.js";
import { BoundaryError } from "../src/base/errors.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { type MasterRecord, jobFiles, readJson, writeJson } from "../src/launch/job-folder.js";
import type { InheritedSocket } from "../src/launch/held-port.js";
import { ownIdentity } from "../src/launch/process-identity.js";
import { spawnSpares } from "../src/launch/spare.js";
import { livingWatchdog, spawnWatchdog } from "../src/launch/watchdog.js";
import { JobClient } from "../src/wire/client.js";

/** The state cannot be used; trying again does not help. */
const unusable = 3;
const watchEveryMs = 250;

export type GivenToMaster = Readonly<{
  /** A system whose threads wait already. */
  prepared?: MasterSystem;
  /** A socket that listens where the former master did. */
  socket?: InheritedSocket | null;
}>;

/**
 * Exit codes: 0 succeeded, 1 failed or stopped, 3 the state cannot be used (the watchdog does not try again), 70: start me again.
 * What is wrong is added to the watchdog's log. 
 */
export async function runMaster(jobDir: string, given: GivenToMaster): Promise<number> {
  try {
    return await run(jobDir, given);
  } catch (thrown) {
    const isFinal = thrown instanceof BoundaryError;
    const hint = isFinal && thrown.details.hint !== undefined ? ` ${thrown.details.hint}` : "";
    appendFileSync(jobFiles(jobDir).watchdogLog, `drover master: ${thrown instanceof Error ? thrown.message : String(thrown)}${hint}\n`);
    return isFinal ? unusable : 70;
  }
}

async function run(jobDir: string, { prepared, socket = null }: GivenToMaster): Promise<number> {
  const sinceMs = performance.now();
  const files = jobFiles(jobDir);
  const spec = readJson(files.spec) as JobSpec | null;
  if (!spec) throw new BoundaryError("JOB_NOT_FOUND", `there is no job in ${jobDir}`, { hint: "Start one with drover run." });
  const before = readJson(files.master) as MasterRecord | null;
  const restarts = before ? before.restarts + 1 : 0;
  const logger = pino({ base: null }, pino.destination({ dest: files.masterLog, append: true, sync: true }));

  const job = await openJob(spec, jobDir, {
    host: spec.listen.host,
    port: before ? Number(before.address.split(":").at(-1)) : spec.listen.port,
    socket,
    restarts,
    isTakenUp: existsSync(files.takeUp),
    log: ({ level, actor, text, fields }) => logger[level]({ actor, ...fields }, text),
    ...(prepared ? { prepared } : {}),
    onEnding: () => {
      if (spec.warm.isOn && spec.warm.keepMs > 0) spawnSpares(dirname(dirname(jobDir)), spec.warm.keepMs);
    },
  });
  rmSync(files.takeUp, { force: true });
  const record: MasterRecord = { ...ownIdentity(), address: job.address, startedAtMs: Date.now(), restarts };
  writeJson(files.master, record);
  logger.info({ address: job.address, restarts, startedInMs: Math.round(performance.now() - (prepared ? sinceMs : 0)) }, "serving");

  const watch = setInterval(() => replaceWatchdog(jobDir), watchEveryMs);
  const end = await job.ended;
  clearInterval(watch);
  writeJson(files.final, { job: await new JobClient(jobDir).status(), endedAtMs: end.endedAtMs });
  logger.info({ stage: end.stage, reason: end.reason }, "the job has ended");
  await job.close();
  return end.stage === "succeeded" ? 0 : 1;
}

/** The watchdog watches the master, and the master the watchdog: whoever is killed is replaced by the other. */
function replaceWatchdog(jobDir: string): void {
  if (readJson(jobFiles(jobDir).watchdog) !== null && livingWatchdog(jobDir) === null) spawnWatchdog(jobDir, ownIdentity());
}
