/** What the agent can say of its host, for the checks before training. */

import { execFile } from "node:child_process";
import { accessSync, constants, existsSync, readFileSync, realpathSync, statfsSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { hostname } from "node:os";
import { basename, delimiter, dirname, join, resolve } from "node:path";
import { promisify } from "node:util";
import type { HostFacts } from "../job/host-facts.js";
import type { Entrypoint, JobSpec } from "../job/job-spec.js";
import { machineResources } from "../launch/machine.js";

/** `address`: where other hosts reach this one. */
export async function gatherFacts(spec: JobSpec, entrypoint: Entrypoint, address: string): Promise<HostFacts> {
  const { cpu, memoryBytes, gpu } = machineResources();
  const [canBindPorts, pythonVersion] = await Promise.all([canBind(address), versionOf(entrypoint)]);
  return {
    host: hostname(),
    address,
    cpus: cpu,
    memoryBytes,
    gpus: gpu,
    pythonVersion,
    entrypointProblem: entrypointProblem(spec, entrypoint),
    diskFreeBytes: freeBytes(nearestFolder(spec.logs.dir)),
    sharedMemoryBytes: freeBytes("/dev/shm"),
    openFilesMax: Number(/^Max open files\s+(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"))?.[1] ?? 0),
    clockMs: Date.now(),
    canBindPorts,
  };
}

/** Why the entry point cannot be run, as a sentence, or null. */
export function entrypointProblem(spec: Pick<JobSpec, "cwd" | "env">, entrypoint: Entrypoint): string | null {
  if (statSync(spec.cwd, { throwIfNoEntry: false })?.isDirectory() !== true) return `The working folder ${spec.cwd} does not exist.`;
  const { kind, target, python } = entrypoint;
  if (kind !== "command" && !isExecutable(python)) return `The interpreter ${python} does not exist or cannot be executed.`;
  switch (kind) {
    case "script": {
      const path = resolve(spec.cwd, target);
      const stat = statSync(path, { throwIfNoEntry: false });
      if (stat === undefined) return `The script ${path} does not exist.`;
      if (stat.isDirectory()) return isReadable(join(path, "__main__.py")) ? null : `${path} is a folder without __main__.py.`;
      return isReadable(path) ? null : `The script ${path} cannot be read.`;
    }
    case "command": {
      if (target.includes("/")) return isExecutable(resolve(spec.cwd, target)) ? null : `The command ${target} does not exist or cannot be executed.`;
      const dirs = (spec.env["PATH"] ?? "/bin:/usr/bin").split(delimiter);
      return dirs.some((dir) => isExecutable(join(dir, target))) ? null : `The command ${target} is in no folder of PATH.`;
    }
    case "module":
      return null; // Only an import can tell.
  }
}

/** "3.11" from the name of the interpreter's file where that says it; else what the interpreter says. */
async function versionOf({ kind, python }: Entrypoint): Promise<string | null> {
  if (kind === "command") return null;
  try {
    const named = /^python(\d+\.\d+)$/.exec(basename(realpathSync(python)))?.[1];
    if (named !== undefined) return named;
    const { stdout } = await promisify(execFile)(python, ["-S", "-E", "-c", "import platform; print(platform.python_version())"]);
    return stdout.trim();
  } catch {
    return null; // `entrypointProblem` says what is wrong with it.
  }
}

function canBind(address: string): Promise<boolean> {
  return new Promise((done) => {
    const server = createServer();
    server.once("error", () => done(false));
    server.listen(0, address, () => server.close(() => done(true)));
  });
}

/** The folder, or the nearest one above it that is there already. */
function nearestFolder(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : nearestFolder(dirname(path));
}

function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch {
    return 0; // No such folder, no room.
  }
}

function isExecutable(path: string): boolean {
  return isAccessible(path, constants.X_OK);
}

function isReadable(path: string): boolean {
  return isAccessible(path, constants.R_OK);
}

function isAccessible(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
