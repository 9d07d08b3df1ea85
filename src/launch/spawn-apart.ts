/** Starts one of our Node programs in a session of its own and in the root folder, so that it outlives who started it, and where. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** Flags of Node for a master. One helper of V8's for its dozen threads: four, the default, hinder each other and the threads on few cores. */
export const masterFlags = ["--v8-pool-size=1"];

export type SpawnApartOptions = Readonly<{
  /** Default: this process's. */
  env?: NodeJS.ProcessEnv;
  /** A descriptor that it inherits, as its 3. */
  descriptor?: number | null;
}>;

/** `args`: flags of Node, the program, its arguments. What it prints is added to the file at `logPath`, mode 600. */
export function spawnApart(args: readonly string[], logPath: string, { env = process.env, descriptor = null }: SpawnApartOptions = {}): ChildProcess {
  const log = openSync(logPath, "a", 0o600);
  try {
    return spawn(process.execPath, args, { cwd: "/", detached: true, env, stdio: ["ignore", log, log, ...(descriptor === null ? [] : [descriptor])] });
  } finally {
    closeSync(log);
  }
}
