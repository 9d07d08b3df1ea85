/**
 * The watchdog of one job: `watchdog.js <jobDir> <pid> <startTime>`. Watches the master that is named, and starts another when it dies.
 *
 * A master that served is started again at once, however often it dies: training goes on meanwhile. The watchdog ends when the job has ended,
 * when the state cannot be used (the master says so with exit code 3), or when more than `deathsMax` masters within `deathsWithinMs` died
 * before they served; then `drover resume` takes the job up.
 */

import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { withListeningSocket, untilHungUp } from "../src/launch/held-port.js";
import { type MasterRecord, jobFiles, readJson, writeJson } from "../src/launch/job-folder.js";
import { type ProcessIdentity, isAlive, ownIdentity, parseIdentity } from "../src/launch/process-identity.js";
import { livingWatchdog, spawnMaster } from "../src/launch/watchdog.js";

const deathsMax = 10;
const deathsWithinMs = 60_000;
const lookEveryMs = 50;
/** While a connection to the master stands, which ends with it. */
const lookAnywayMs = 500;
/** From the end of its connections to the end of a process. */
const goneWithinMs = 2;

type End = Readonly<{ pid: number; code: number | null; how: string }>;

/** A master that is a child of ours, to its end; it listens where the former one did. */
function started(jobDir: string): Promise<End> {
  const address = addressOf(jobDir);
  return new Promise((resolve, reject) => {
    const start = (socket: number | null): void => {
      const child = spawnMaster(jobDir, socket);
      const { pid = 0 } = child;
      child.on("exit", (code, signal) => resolve({ pid, code, how: signal ?? `exit code ${String(code)}` }));
      child.on("error", ({ message }) => resolve({ pid, code: null, how: message }));
    };
    if (address === null) start(null);
    else withListeningSocket(address, start).catch(reject);
  });
}

/** A master that is no child of ours: its end is seen in /proc, where a connection to its port makes us look at once; its exit code is not known. */
async function adopted(jobDir: string, master: ProcessIdentity): Promise<End> {
  let line: Promise<void> | null = null;
  while (isAlive(master)) {
    line ??= hangUp(addressOf(jobDir)).finally(() => (line = null));
    await Promise.race([line, delay(lookAnywayMs)]);
  }
  return { pid: master.pid, code: null, how: "it is gone" };
}

async function hangUp(address: string | null): Promise<void> {
  const wasUp = address !== null && (await untilHungUp(address));
  await delay(wasUp ? goneWithinMs : lookEveryMs);
}

function addressOf(jobDir: string): string | null {
  return (readJson(jobFiles(jobDir).master) as MasterRecord | null)?.address ?? null;
}

async function watch(jobDir: string, running: ProcessIdentity): Promise<number> {
  const say = (text: string): void => void process.stdout.write(`${new Date().toISOString()} watchdog ${process.pid} ${text}\n`);
  let early: number[] = [];
  let next = (): Promise<End> => adopted(jobDir, running);
  for (;;) {
    const { pid, code, how } = await next();
    next = () => started(jobDir);
    if (existsSync(jobFiles(jobDir).final)) return 0;
    if (code === 3) {
      say("the state of the job cannot be used; see above");
      return 1;
    }
    if (parseIdentity(readJson(jobFiles(jobDir).master))?.pid === pid) {
      say(`the master ${pid} died (${how})`);
      continue;
    }
    const nowMs = Date.now();
    early = [...early.filter((atMs) => nowMs - atMs < deathsWithinMs), nowMs];
    say(`the master ${pid} died before it served (${how}), ${early.length} time(s) within ${deathsWithinMs / 1_000} s`);
    if (early.length > deathsMax) {
      say("giving up: drover resume takes the job up");
      return 1;
    }
    if (early.length > 3) await delay(50 * 2 ** (early.length - 3));
  }
}

const [jobDir, pid, startTime] = process.argv.slice(2);
if (jobDir === undefined || pid === undefined || startTime === undefined) {
  process.stderr.write("usage: watchdog.js <job folder> <pid of the master> <its start time>\n");
  process.exit(2);
}
const living = livingWatchdog(jobDir);
if (living && living.pid !== process.pid) process.exit(0);
if (!living) writeJson(jobFiles(jobDir).watchdog, ownIdentity()); // Who started it was killed before it could.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
process.exit(await watch(jobDir, { pid: Number(pid), startTime }));
