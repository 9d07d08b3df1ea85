/** The small files in a node's folder: who runs there. Written by agent and launcher, read by whoever must find or end them. */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { nodeDirOf, readJson, writeJson } from "./job-folder.js";
import { isAlive, parseIdentity, type ProcessIdentity } from "./process-identity.js";

export type NodeFiles = Readonly<{
  dir: string;
  agent: string;
  agentLog: string;
  nursery: string;
  nurserySocket: string;
  nurseryLog: string;
  ranks: string;
  progressDir: string;
  errorsDir: string;
}>;

export function nodeFiles(jobDir: string, node: string): NodeFiles {
  const dir = nodeDirOf(jobDir, node);
  return {
    dir,
    agent: join(dir, "agent.json"),
    agentLog: join(dir, "agent.log"),
    nursery: join(dir, "nursery.json"),
    nurserySocket: join(dir, "nursery.sock"),
    nurseryLog: join(dir, "nursery.log"),
    ranks: join(dir, "ranks.json"),
    progressDir: join(dir, "progress"),
    errorsDir: join(dir, "errors"),
  };
}

/** Makes the node's folders. */
export function makeNodeDirs(files: NodeFiles): void {
  for (const dir of [files.dir, files.progressDir, files.errorsDir]) mkdirSync(dir, { recursive: true, mode: 0o700 });
}

export function writeIdentity(path: string, identity: ProcessIdentity): void {
  writeJson(path, { pid: identity.pid, startTime: identity.startTime });
}

/** The living process that the file names, or null. */
export function livingProcessIn(path: string): ProcessIdentity | null {
  const identity = parseIdentity(readJson(path));
  return identity !== null && isAlive(identity) ? identity : null;
}
