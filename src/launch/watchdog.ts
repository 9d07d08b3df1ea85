/**
 * The master of a job and its watchdog seen from the processes that start them: the foreground command, and each of the two for the other.
 *
 * - D1  One watchdog lives at a time: the second finds the first one's record and leaves.
 * - D2  Master and watchdog start side by side, neither waits for the other; a watchdog whose master is gone by then starts another.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { jobFiles, readJson } from "./job-folder.js";
import { builtModule } from "../base/built-file.js";
import { type ProcessIdentity, isAlive, parseIdentity, startTimeOf } from "./process-identity.js";

const masterPath = fileURLToPath(builtModule("bin/master.js"));
const watchdogPath = fileURLToPath(builtModule("bin/watchdog.js"));

/** Starts the master of a job in a session of its own. */
export function spawnMaster(jobDir: string): ChildProcess {
  return spawnApart(jobDir, [masterPath, jobDir]);
}

/** Starts a watchdog in a session of its own, that watches this master. */
export function spawnWatchdog(jobDir: string, master: ProcessIdentity): void {
  spawnApart(jobDir, ["--max-old-space-size=32", watchdogPath, jobDir, String(master.pid), master.startTime]).unref();
}

/** Starts a master and its watchdog (D2). */
export function spawnWatchedMaster(jobDir: string): void {
  const child = spawnMaster(jobDir);
  child.unref();
  const pid = child.pid ?? 0; // One that could not be started counts as dead: the watchdog tries again, and says what is wrong.
  spawnWatchdog(jobDir, { pid, startTime: startTimeOf(pid) ?? "" });
}

function spawnApart(jobDir: string, args: readonly string[]): ChildProcess {
  const log = openSync(jobFiles(jobDir).watchdogLog, "a", 0o600);
  try {
    return spawn(process.execPath, args, { detached: true, stdio: ["ignore", log, log] });
  } finally {
    closeSync(log);
  }
}

/** The watchdog that lives, if one does. */
export function livingWatchdog(jobDir: string): ProcessIdentity | null {
  const record = parseIdentity(readJson(jobFiles(jobDir).watchdog));
  return record && isAlive(record) ? record : null;
}
