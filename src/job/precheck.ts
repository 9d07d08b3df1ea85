/**
 * The checks of a host before anything is trained on it.
 *
 * An `error` keeps the node out of every round (the Job Manager is told that it is not fit); a `warning` is reported
 * and changes nothing. The thresholds are where jobs were seen to fail: 64 MiB is Docker's default for /dev/shm, on
 * which data loaders die of a bus error.
 */

import type { HostFacts } from "./host-facts.js";
import type { JobSpec } from "./job-spec.js";

export type CheckId =
  | "python-missing"
  | "python-too-old"
  | "entrypoint-unusable"
  | "ports-unusable"
  | "disk-low"
  | "shared-memory-low"
  | "open-files-low"
  | "clock-skewed";

export type Check = Readonly<{
  id: CheckId;
  severity: "error" | "warning";
  /** What is wrong, with the value and what is needed. */
  sentence: string;
  /** What to do about it. */
  hint: string;
}>;

/** Oldest Python that scripts may run under. */
const pythonMin = [3, 9] as const;
const mib = 2 ** 20;
const diskFreeBytes = { error: 100 * mib, warning: 1_024 * mib };
const sharedMemoryBytesMin = 256 * mib;
const openFiles = { error: 256, warning: 1_024 };
const clockSkewMsMax = 5_000;

/** What is wrong with a host, worst first; empty if nothing is. `nowMs`: the master's wall clock when the facts came. */
export function checkHost(facts: HostFacts, needsPython: boolean, nowMs: number): Check[] {
  const checks = [
    needsPython ? checkPython(facts.pythonVersion) : null,
    facts.entrypointProblem === null
      ? null
      : error(
          "entrypoint-unusable",
          `The entry point cannot be run: ${facts.entrypointProblem}`,
          "Give a path that exists on every host.",
        ),
    facts.canBindPorts
      ? null
      : error(
          "ports-unusable",
          "No TCP port can be opened for the rendezvous.",
          "Free some ports, or allow the user to listen on them.",
        ),
    checkDisk(facts.diskFreeBytes),
    checkSharedMemory(facts.sharedMemoryBytes),
    checkOpenFiles(facts.openFilesMax),
    checkClock(facts.clockMs - nowMs),
  ].filter((check) => check !== null);
  return [...checks.filter(isError), ...checks.filter((check) => !isError(check))];
}

export function isError({ severity }: Check): boolean {
  return severity === "error";
}

/** Whether every node of the job runs Python; a job of which only some do is left to the check of its entry points. */
export function needsPython(spec: JobSpec): boolean {
  return spec.roles.every(({ entrypoint }) => entrypoint.kind !== "command");
}

function checkPython(version: string | null): Check | null {
  if (version === null) {
    return error(
      "python-missing",
      "The Python interpreter cannot be run.",
      "Install it, or name another one with --python.",
    );
  }
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major > pythonMin[0] || (major === pythonMin[0] && minor >= pythonMin[1])) return null;
  return error(
    "python-too-old",
    `Python is ${version}; ${pythonMin.join(".")} or newer is needed.`,
    "Use a newer interpreter.",
  );
}

function checkDisk(freeBytes: number): Check | null {
  if (freeBytes >= diskFreeBytes.warning) return null;
  const severity = freeBytes < diskFreeBytes.error ? "error" : "warning";
  const needed = inMib(diskFreeBytes.warning);
  const sentence = `The disk has ${inMib(freeBytes)} free; logs and checkpoints need ${needed} or more.`;
  return { id: "disk-low", severity, sentence, hint: "Free some space, or put --log-dir on another disk." };
}

function checkSharedMemory(bytes: number): Check | null {
  if (bytes >= sharedMemoryBytesMin) return null;
  const sentence = `/dev/shm has ${inMib(bytes)}; data loaders and NCCL want ${inMib(sharedMemoryBytesMin)} or more.`;
  return {
    id: "shared-memory-low",
    severity: "warning",
    sentence,
    hint: "In Docker, start the container with --shm-size=1g or --ipc=host.",
  };
}

function checkOpenFiles(most: number): Check | null {
  if (most >= openFiles.warning) return null;
  const severity = most < openFiles.error ? "error" : "warning";
  const sentence = `A process may open ${most} files; ranks with data loaders need ${openFiles.warning} or more.`;
  return {
    id: "open-files-low",
    severity,
    sentence,
    hint: "Raise it with ulimit -n, or in /etc/security/limits.conf.",
  };
}

function checkClock(skewMs: number): Check | null {
  if (Math.abs(skewMs) <= clockSkewMsMax) return null;
  const seconds = (Math.abs(skewMs) / 1_000).toFixed(1);
  const sentence = `The clock is ${seconds} s ${skewMs > 0 ? "ahead of" : "behind"} the master's.`;
  return {
    id: "clock-skewed",
    severity: "warning",
    sentence,
    hint: "Keep clocks in step with NTP; times in logs cannot be compared.",
  };
}

function error(id: CheckId, sentence: string, hint: string): Check {
  return { id, severity: "error", sentence, hint };
}

function inMib(bytes: number): string {
  return `${Math.floor(bytes / mib)} MiB`;
}
