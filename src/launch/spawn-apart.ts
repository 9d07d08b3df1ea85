/** Starts one of our Node programs in a session of its own and in the root folder, so that it outlives who started it, and where. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";

/** `args`: flags of Node, the program, its arguments. What it prints is added to the file at `logPath`, mode 600. */
export function spawnApart(args: readonly string[], logPath: string, env: NodeJS.ProcessEnv = process.env): ChildProcess {
  const log = openSync(logPath, "a", 0o600);
  try {
    return spawn(process.execPath, args, { cwd: "/", detached: true, env, stdio: ["ignore", log, log] });
  } finally {
    closeSync(log);
  }
}
