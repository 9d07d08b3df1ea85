/** The agent of one node in this process, to the node's end or its own. */

import { randomBytes } from "node:crypto";
import { appendFileSync } from "node:fs";
import { dirname } from "node:path";
import { NodeAgent } from "../src/agent/node-agent.js";
import type { JobSpec, Role } from "../src/job/job-spec.js";
import { jobFiles, readJson } from "../src/launch/job-folder.js";
import { makeNodeDirs, nodeFiles, writeIdentity } from "../src/launch/node-files.js";
import { ownIdentity } from "../src/launch/process-identity.js";

/** `args`: JOB_DIR NODE ROLE MASTER_ADDRESS TOKEN_PATH. Gives the exit code. */
export async function runAgent(args: readonly string[]): Promise<number> {
  const [jobDir, node, role, masterAddress, tokenPath] = args;
  if (jobDir === undefined || node === undefined || role === undefined || masterAddress === undefined || tokenPath === undefined) {
    process.stderr.write("usage: agent.js JOB_DIR NODE ROLE MASTER_ADDRESS TOKEN_PATH\n");
    return 2;
  }
  const files = nodeFiles(jobDir, node);
  makeNodeDirs(files);
  writeIdentity(files.agent, ownIdentity());
  const log = (text: string): void => {
    try {
      appendFileSync(files.agentLog, `${new Date().toISOString()} agent ${process.pid} of ${node} ${text}\n`);
    } catch {
      // A line that the disk has no room for is lost, and nothing but the line.
    }
  };
  const spec = readJson(jobFiles(jobDir).spec) as JobSpec;
  const home = dirname(dirname(jobDir));
  const agentId = `agent-${randomBytes(6).toString("hex")}`;
  const agent = new NodeAgent({ jobDir, node, role: role as Role, files, home, masterAddress, tokenPath, agentId, spec, log });

  process.on("SIGTERM", () => agent.end("SIGTERM"));
  process.on("SIGINT", () => undefined); // A Ctrl-C is the foreground command's to answer.
  process.on("SIGHUP", () => undefined);
  return agent.run();
}
