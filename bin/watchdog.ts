/**
 * The watchdog of one job: `watchdog.js <jobDir> <pid> <startTime>`. Watches the master that is named, and starts another when it dies.
 *
 * Ends when the job has ended, when the state cannot be used (the master says so with exit code 3), or when the master died more than
 * `deathsMax` times within `deathsWithinMs`; then `drover resume` takes the job up.
 */

import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { jobFiles, writeJson } from "../src/launch/job-folder.js";
import { type ProcessIdentity, isAlive, ownIdentity } from "../src/launch/process-identity.js";
import { livingWatchdog, spawnMaster } from "../src/launch/watchdog.js";

const deathsMax = 10;
const deathsWithinMs = 60_000;
const lookEveryMs = 100;

type End = Readonly<{ code: number | null; signal: string | null }>;

/** A master that is a child of ours, to its end. */
function started(jobDir: string): Promise<End> {
  const child = spawnMaster(jobDir);
  return new Promise((resolve, reject) => {
    child.on("exit", (code, signal) => resolve({ code, signal }));
    child.on("error", reject);
  });
}

/** A master that is no child of ours: its end is seen in /proc, its exit code is not known. */
async function adopted(master: ProcessIdentity): Promise<End> {
  while (isAlive(master)) await delay(lookEveryMs);
  return { code: null, signal: null };
}

async function watch(jobDir: string, running: ProcessIdentity): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${new Date().toISOString()} watchdog ${process.pid} ${text}\n`);
  let deaths: number[] = [];
  let adopt: ProcessIdentity | null = running;
  for (;;) {
    const { code, signal } = adopt ? await adopted(adopt) : await started(jobDir);
    adopt = null;
    if (existsSync(jobFiles(jobDir).final)) return 0;
    if (code === 3) {
      say("the state of the job cannot be used; see above");
      return 1;
    }
    const nowMs = Date.now();
    deaths = [...deaths.filter((atMs) => nowMs - atMs < deathsWithinMs), nowMs];
    say(`the master died (${signal ?? `exit code ${String(code)}`}), ${deaths.length} time(s) within ${deathsWithinMs / 1_000} s`);
    if (deaths.length > deathsMax) {
      say("giving up: drover resume takes the job up");
      return 1;
    }
    if (deaths.length > 3) await delay(50 * 2 ** (deaths.length - 3));
  }
}

const [jobDir, pid, startTime] = process.argv.slice(2);
if (jobDir === undefined || pid === undefined || startTime === undefined) {
  process.stderr.write("usage: watchdog.js <job folder> <pid of the master> <its start time>\n");
  process.exit(2);
}
if (livingWatchdog(jobDir)) process.exit(0);
writeJson(jobFiles(jobDir).watchdog, ownIdentity());
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
process.exit(await watch(jobDir, { pid: Number(pid), startTime }));
