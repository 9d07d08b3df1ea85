/**
 * Where a job keeps what it must not forget: the one place that knows the names of files under `$DROVER_HOME`.
 *
 * Owns paths and the small JSON files in them. The journal itself is src/store's.
 */

import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";

/** `$DROVER_HOME`, else `$XDG_STATE_HOME/drover`, else `~/.local/state/drover`. */
export function droverHome(env: Readonly<Record<string, string | undefined>>): string {
  const own = env["DROVER_HOME"];
  if (own) return resolve(own);
  const state = env["XDG_STATE_HOME"];
  return state ? resolve(state, "drover") : join(env["HOME"] ?? homedir(), ".local", "state", "drover");
}

/** Where zygotes that are kept warm listen. */
export function warmDir(home: string): string {
  return join(home, "warm");
}

export function jobDirOf(home: string, job: string): string {
  return join(home, "jobs", job);
}

/** Files of one job. */
export function jobFiles(jobDir: string): {
  spec: string;
  state: string;
  token: string;
  master: string;
  masterLog: string;
  watchdog: string;
  watchdogLog: string;
  final: string;
  /** There while an ended job is to be taken up and no master has done so yet. */
  takeUp: string;
  logs: string;
} {
  return {
    spec: join(jobDir, "spec.json"),
    state: join(jobDir, "state.db"),
    token: join(jobDir, "token"),
    master: join(jobDir, "master.json"),
    masterLog: join(jobDir, "master.log"),
    watchdog: join(jobDir, "watchdog.json"),
    watchdogLog: join(jobDir, "watchdog.log"),
    final: join(jobDir, "final.json"),
    takeUp: join(jobDir, "take-up.json"),
    logs: join(jobDir, "logs"),
  };
}

/** Folder of one node's agent and nursery. */
export function nodeDirOf(jobDir: string, node: string): string {
  return join(jobDir, "nodes", node);
}

/** The nodes that have a folder in the job's. */
export function nodesIn(jobDir: string): string[] {
  const dir = join(jobDir, "nodes");
  return existsSync(dir) ? readdirSync(dir) : [];
}

/** What `master.json` holds. `startTime` (field 22 of /proc/<pid>/stat) tells the process from a later one with its pid. */
export type MasterRecord = Readonly<{ pid: number; startTime: string; address: string; startedAtMs: number; restarts: number }>;

/** Writes JSON so that a reader sees the old or the new file, never a part. */
export function writeJson(path: string, value: unknown): void {
  const fresh = `${path}.${process.pid}.new`;
  writeFileSync(fresh, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(fresh, path);
}

/** The file's JSON, or null where there is none. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as unknown;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}
