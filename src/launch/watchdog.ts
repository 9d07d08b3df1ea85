/**
 * The watchdog of a job seen from the processes that start it: the foreground command, and the master whose watchdog was killed.
 *
 * One lives at a time: the second finds the first one's record and leaves.
 */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { jobFiles, readJson } from "./job-folder.js";
import { type ProcessIdentity, isAlive, parseIdentity } from "./process-identity.js";

const watchdogPath = fileURLToPath(new URL("../../bin/watchdog.js", import.meta.url));

/** Starts a watchdog in a session of its own; with `adopt` it watches a master that runs already. */
export function spawnWatchdog(jobDir: string, adopt: ProcessIdentity | null = null): void {
  const log = openSync(jobFiles(jobDir).watchdogLog, "a", 0o600);
  const args = ["--max-old-space-size=32", watchdogPath, jobDir, ...(adopt ? [String(adopt.pid), adopt.startTime] : [])];
  const child = spawn(process.execPath, args, { detached: true, stdio: ["ignore", log, log] });
  child.unref();
  closeSync(log);
}

/** The watchdog that lives, if one does. */
export function livingWatchdog(jobDir: string): ProcessIdentity | null {
  const record = parseIdentity(readJson(jobFiles(jobDir).watchdog));
  return record && isAlive(record) ? record : null;
}
