/**
 * The master of a job and its watchdog seen from the processes that start them: the foreground command, and each of the two for the other.
 *
 * - D1  One watchdog lives at a time: the second finds the first one's record and leaves.
 * - D2  Master and watchdog start side by side, neither waits for the other; a watchdog whose master is gone by then starts another.
 * - D3  Who starts a watchdog writes its record: a job that was just begun is never taken for one that is down.
 */

import type { ChildProcess } from "node:child_process";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { jobFiles, readJson, writeJson } from "./job-folder.js";
import { builtModule } from "../base/built-file.js";
import { type ProcessIdentity, identityOf, isAlive, parseIdentity } from "./process-identity.js";
import { takeSpare } from "./spare.js";
import { masterFlags, spawnApart } from "./spawn-apart.js";

const masterPath = fileURLToPath(builtModule("bin/master.js"));
const watchdogPath = fileURLToPath(builtModule("bin/watchdog.js"));

/** Starts the master of a job in a session of its own. `socket`: one that listens where the former master did. */
export function spawnMaster(jobDir: string, socket: number | null = null): ChildProcess {
  const args = [...masterFlags, masterPath, jobDir, ...(socket === null ? [] : ["3"])];
  return spawnApart(args, jobFiles(jobDir).watchdogLog, { descriptor: socket });
}

/** Starts a watchdog in a session of its own, that watches this master. It is on record at once: the job lives from here on (D3). */
export function spawnWatchdog(jobDir: string, master: ProcessIdentity): void {
  const args = ["--max-old-space-size=32", watchdogPath, jobDir, String(master.pid), master.startTime];
  const child = spawnApart(args, jobFiles(jobDir).watchdogLog);
  child.unref();
  const watchdog = identityOf(child.pid ?? 0);
  if (isAlive(watchdog)) writeJson(jobFiles(jobDir).watchdog, watchdog);
}

/** Gives a job its master, a spare one where there is one, and the watchdog (D2). */
export async function startWatchedMaster(jobDir: string): Promise<void> {
  const spare = await takeSpare(dirname(dirname(jobDir)), "master", { jobDir });
  spawnWatchdog(jobDir, spare ?? newMaster(jobDir));
}

/** One that could not be started counts as dead: the watchdog tries again, and says what is wrong. */
function newMaster(jobDir: string): ProcessIdentity {
  const child = spawnMaster(jobDir);
  child.unref();
  return identityOf(child.pid ?? 0);
}

/** The watchdog that lives, if one does. */
export function livingWatchdog(jobDir: string): ProcessIdentity | null {
  const record = parseIdentity(readJson(jobFiles(jobDir).watchdog));
  return record && isAlive(record) ? record : null;
}
