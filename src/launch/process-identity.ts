/**
 * Which process a pid means: the kernel gives pids out again, so a process is its pid and its start time.
 *
 * A zombie counts as dead: it runs nothing and only waits for its parent.
 */

import { readFileSync } from "node:fs";

export type ProcessIdentity = Readonly<{
  pid: number;
  /** Field 22 of /proc/<pid>/stat: clock ticks from boot to the start of the process. */
  startTime: string;
}>;

/** What /proc/<pid>/stat says of a process, or null where there is none (or only its zombie). */
export type ProcessStat = Readonly<{
  startTime: string;
  parentPid: number;
  /** CPU time of all its threads, in clock ticks (100 a second on Linux). */
  cpuTicks: number;
  residentPages: number;
}>;

export function readStat(pid: number): ProcessStat | null {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "latin1");
  } catch {
    return null; // No such process.
  }
  // The name in parentheses may itself hold spaces and parentheses.
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  const [state = "X", parentPid = "0"] = fields;
  if (state === "Z" || state === "X") return null;
  return {
    startTime: fields[19] ?? "",
    parentPid: Number(parentPid),
    cpuTicks: Number(fields[11]) + Number(fields[12]),
    residentPages: Number(fields[21]),
  };
}

/** The start time of a living process, or null. */
function startTimeOf(pid: number): string | null {
  return readStat(pid)?.startTime ?? null;
}

export function isAlive({ pid, startTime }: ProcessIdentity): boolean {
  return startTimeOf(pid) === startTime;
}

/** The process that has this pid now; where there is none, one that is dead. */
export function identityOf(pid: number): ProcessIdentity {
  return { pid, startTime: startTimeOf(pid) ?? "" };
}

/** This process. */
export function ownIdentity(): ProcessIdentity {
  return identityOf(process.pid);
}

/** Sends a signal to exactly this process; false if it is gone. */
export function signalProcess(identity: ProcessIdentity, signal: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false;
  try {
    process.kill(identity.pid, signal);
    return true;
  } catch {
    return false; // It ended between the look and the signal.
  }
}

/** The identity in JSON that was read from a file, or null. */
export function parseIdentity(value: unknown): ProcessIdentity | null {
  if (typeof value !== "object" || value === null || !("pid" in value) || !("startTime" in value)) return null;
  const { pid, startTime } = value;
  if (typeof pid !== "number" || !Number.isSafeInteger(pid) || pid < 1 || typeof startTime !== "string") return null;
  return { pid, startTime };
}
