/** CPU and memory of a process and its descendants, from /proc. */

import { readFileSync } from "node:fs";
import { readStat } from "../launch/process-identity.js";

/** Entries of the auxiliary vector (getauxval(3)). */
const pageSizeEntry = 6;
const clockTicksEntry = 17;
/** A tree larger than this is measured in part. */
const processesMax = 512;

export type Usage = Readonly<{ cpuCores: number; memoryBytes: number }>;

/** Compares CPU time between two looks. */
export class UsageMeter {
  readonly #pid: number;
  #ticks: Map<number, number>;
  #atMs: number;
  #usage: Usage = { cpuCores: 0, memoryBytes: 0 };

  constructor(pid: number, nowMs: number) {
    this.#pid = pid;
    this.#ticks = ticksOf(lookAt(pid));
    this.#atMs = nowMs;
  }

  /** As of the last `measure`. Resident memory; pages that forked ranks share are counted for each. */
  get usage(): Usage {
    return this.#usage;
  }

  measure(nowMs: number): void {
    const processes = lookAt(this.#pid);
    const ticks = ticksOf(processes);
    // What a process had used before it was first seen counts too: it was born since the last look.
    const used = [...ticks].reduce((sum, [pid, now]) => sum + now - (this.#ticks.get(pid) ?? 0), 0);
    const seconds = (nowMs - this.#atMs) / 1_000;
    const pages = processes.reduce((sum, { stat }) => sum + stat.residentPages, 0);
    this.#usage = {
      cpuCores: seconds > 0 ? Math.round((used / clockTicks / seconds) * 100) / 100 : this.#usage.cpuCores,
      memoryBytes: pages * pageBytes,
    };
    this.#ticks = ticks;
    this.#atMs = nowMs;
  }
}

type Seen = Readonly<{ pid: number; stat: NonNullable<ReturnType<typeof readStat>> }>;

function lookAt(root: number): Seen[] {
  const seen: Seen[] = [];
  const pids = [root];
  for (let pid = pids.pop(); pid !== undefined && seen.length < processesMax; pid = pids.pop()) {
    const stat = readStat(pid);
    if (stat === null) continue;
    seen.push({ pid, stat });
    pids.push(...childrenOf(pid));
  }
  return seen;
}

/** Children that its main thread started. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "latin1").split(" ").map(Number).filter((child) => child > 0);
  } catch {
    return []; // It ended, or the kernel does not tell (CONFIG_PROC_CHILDREN).
  }
}

function ticksOf(processes: readonly Seen[]): Map<number, number> {
  return new Map(processes.map(({ pid, stat }) => [pid, stat.cpuTicks]));
}

const auxiliaryVector = readAuxiliaryVector();
const pageBytes = auxiliaryVector.get(pageSizeEntry) ?? 4_096;
const clockTicks = auxiliaryVector.get(clockTicksEntry) ?? 100;

function readAuxiliaryVector(): Map<number, number> {
  const bytes = readFileSync("/proc/self/auxv");
  const entries = new Map<number, number>();
  for (let at = 0; at + 16 <= bytes.length; at += 16) entries.set(Number(bytes.readBigUInt64LE(at)), Number(bytes.readBigUInt64LE(at + 8)));
  return entries;
}
