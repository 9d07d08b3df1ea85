/**
 * Finds and ends every process of a job on this machine, also those that nobody knows any more.
 *
 * - W1  What belongs to a job: every process with the tag in its environment, and every descendant of one.
 * - W2  A process that adopts orphans (a nursery is a subreaper) is stopped first and ended last, so that no orphan of it escapes the look.
 * - W3  `sweepProcesses` resolves when a look finds nothing alive, or rejects after `sweepTimeoutMs`.
 */

import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { nodesIn } from "./job-folder.js";
import { jobTag, tagVariables } from "./job-tag.js";
import { livingProcessIn, nodeFiles } from "./node-files.js";
import { socketPathFor } from "./socket-path.js";
import { isAlive, type ProcessIdentity, readStat, signalProcess } from "./process-identity.js";

const sweepTimeoutMs = 15_000;

export type FoundProcess = ProcessIdentity & Readonly<{ parentPid: number; command: string }>;

/** Processes known to belong to a job without a tag, and sockets on the command line of such: a nursery that was forked has its zygote's environment. */
export type Untagged = Readonly<{ roots?: readonly ProcessIdentity[]; sockets?: readonly string[] }>;

/** Every living process whose tag begins with `tag` (a job's or a node's, src/launch/job-tag.ts), and what is `untagged`; this process and its ancestors excepted (W1). */
export function processesOf(tag: string, { roots = [], sockets = [] }: Untagged = {}): FoundProcess[] {
  const marks = tagVariables.map((name) => `\0${name}=${tag}`);
  const all = new Map<number, FoundProcess>();
  const mine = new Set<number>(roots.filter(isAlive).map(({ pid }) => pid));
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isSafeInteger(pid)) continue;
    const stat = readStat(pid);
    if (stat === null) continue;
    const command = readText(`/proc/${pid}/cmdline`);
    all.set(pid, { pid, startTime: stat.startTime, parentPid: stat.parentPid, command });
    const environment = `\0${readText(`/proc/${pid}/environ`)}`;
    if (marks.some((mark) => environment.includes(mark)) || sockets.some((socket) => command.includes(`\0${socket}`))) mine.add(pid);
  }
  const spared = new Set<number>();
  for (let at: number | undefined = process.pid; at !== undefined && at > 0; at = all.get(at)?.parentPid) spared.add(at);
  return [...all.values()].filter((found) => !spared.has(found.pid) && isDescendant(found, all, mine));
}

/** Kills them all, with SIGKILL, until none is left (W2, W3). Returns how many were killed. */
export async function sweepProcesses(tag: string, { roots = [], sockets = [] }: Untagged = {}): Promise<number> {
  const deadlineMs = performance.now() + sweepTimeoutMs;
  const killed = new Set<string>();
  let known = roots;
  for (;;) {
    const found = processesOf(tag, { roots: known, sockets });
    if (found.length === 0) return killed.size;
    if (performance.now() > deadlineMs) {
      throw new Error(`still there after SIGKILL: ${found.map(({ pid, command }) => `${pid} ${command}`).join("; ")}`);
    }
    const parents = new Set(found.map(({ parentPid }) => parentPid));
    const isParent = ({ pid }: FoundProcess): boolean => parents.has(pid);
    for (const parent of found.filter(isParent)) signalProcess(parent, "SIGSTOP"); // W2
    for (const leaf of found.filter((process) => !isParent(process))) signalProcess(leaf, "SIGKILL");
    for (const { pid, startTime } of found) killed.add(`${pid} ${startTime}`);
    known = found;
    await sleep(found.some(isAlive) ? 5 : 0);
  }
}

/** Kills everything of a job on this machine. Returns how many processes that were. */
export async function sweepJob(jobDir: string): Promise<number> {
  const files = nodesIn(jobDir).map((node) => nodeFiles(jobDir, node));
  const roots = files.flatMap(({ agent, nursery }) => [livingProcessIn(agent), livingProcessIn(nursery)]).filter((root) => root !== null);
  return sweepProcesses(jobTag(jobDir), { roots, sockets: files.map(({ nurserySocket }) => socketPathFor(nurserySocket)) });
}

function isDescendant(found: FoundProcess, all: ReadonlyMap<number, FoundProcess>, of: ReadonlySet<number>): boolean {
  for (let at: FoundProcess | undefined = found; at !== undefined; at = all.get(at.parentPid)) if (of.has(at.pid)) return true;
  return false;
}

function readText(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // It ended, or is not ours to read.
  }
}
