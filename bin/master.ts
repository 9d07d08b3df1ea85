/**
 * The master process of one job: `master.js <jobDir>`, started by the watchdog.
 *
 * Writes `master.json` once it serves and `final.json` once the job has ended. Exit codes: 0 succeeded, 1 failed or stopped, 3 the state cannot be
 * used (said on stderr; the watchdog does not try again), anything else: start me again.
 */

import { existsSync, readFileSync, rmSync } from "node:fs";
import { pino } from "pino";
import { openJob } from "../embed/start-job.js";
import { BoundaryError } from "../src/base/errors.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { type MasterRecord, jobFiles, readJson, writeJson } from "../src/launch/job-folder.js";
import { ownIdentity } from "../src/launch/process-identity.js";
import { livingWatchdog, spawnWatchdog } from "../src/launch/watchdog.js";

const unusable = 3;
const watchEveryMs = 250;

async function main(jobDir: string): Promise<number> {
  const files = jobFiles(jobDir);
  const spec = readJson(files.spec) as JobSpec | null;
  if (!spec) throw new BoundaryError("JOB_NOT_FOUND", `there is no job in ${jobDir}`, { hint: "Start one with drover run." });
  const before = readJson(files.master) as MasterRecord | null;
  const restarts = before ? before.restarts + 1 : 0;
  const logger = pino({ base: null }, pino.destination({ dest: files.masterLog, append: true, sync: true }));

  const job = await openJob(spec, jobDir, {
    port: before ? Number(before.address.split(":").at(-1)) : 0,
    restarts,
    isTakenUp: existsSync(files.takeUp),
    log: ({ level, actor, text, fields }) => logger[level]({ actor, ...fields }, text),
  });
  rmSync(files.takeUp, { force: true });
  const record: MasterRecord = { ...ownIdentity(), address: job.address, startedAtMs: Date.now(), restarts };
  writeJson(files.master, record);
  logger.info({ address: job.address, restarts, startedInMs: Math.round(performance.now()) }, "serving");

  const watch = setInterval(() => replaceWatchdog(jobDir), watchEveryMs);
  const end = await job.ended;
  clearInterval(watch);
  const status = await fetch(`http://${job.address}/api/v1/job`, {
    headers: { authorization: `Bearer ${readFileSync(files.token, "utf8").trim()}` },
  });
  writeJson(files.final, { job: await status.json(), endedAtMs: end.endedAtMs });
  logger.info({ stage: end.stage, reason: end.reason }, "the job has ended");
  await job.close();
  return end.stage === "succeeded" ? 0 : 1;
}

/** The watchdog watches the master, and the master the watchdog: whoever is killed is replaced by the other. */
function replaceWatchdog(jobDir: string): void {
  if (readJson(jobFiles(jobDir).watchdog) !== null && livingWatchdog(jobDir) === null) spawnWatchdog(jobDir, ownIdentity());
}

const [jobDir] = process.argv.slice(2);
if (jobDir === undefined) {
  process.stderr.write("usage: master.js <job folder>\n");
  process.exit(2);
}
main(jobDir).then(
  (code) => process.exit(code),
  (thrown: unknown) => {
    const isFinal = thrown instanceof BoundaryError;
    const hint = isFinal && thrown.details.hint !== undefined ? ` ${thrown.details.hint}` : "";
    process.stderr.write(`drover master: ${thrown instanceof Error ? thrown.message : String(thrown)}${hint}\n`);
    process.exit(isFinal ? unusable : 70);
  },
);
