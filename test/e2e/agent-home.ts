/** A home with one job in it, for tests that run real agents against a scripted master. Ends whatever it started. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Assignment } from "../../src/job/assignment.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import type { RankReport } from "../../src/job/rank-report.js";
import { type JobInput, resolveSpec, type RoleInput } from "../../src/job/resolve-spec.js";
import { jobDirOf, jobFiles, nodesIn, writeJson } from "../../src/launch/job-folder.js";
import { jobTag, nodeTag } from "../../src/launch/job-tag.js";
import { livingProcessIn, nodeFiles, type NodeFiles } from "../../src/launch/node-files.js";
import type { ProcessIdentity } from "../../src/launch/process-identity.js";
import { processesOf, sweepProcesses } from "../../src/launch/process-sweep.js";
import { stopZygotes } from "../../src/launch/zygote.js";
import { python, waitFor } from "./drover-process.js";
import { type Received, ScriptedMaster } from "./scripted-master.js";

const agentPath = fileURLToPath(new URL("../../bin/agent.js", import.meta.url));

export class AgentHome {
  readonly home = mkdtempSync(join(tmpdir(), "drover-agent-"));
  readonly jobDir = jobDirOf(this.home, "j");
  readonly master = new ScriptedMaster();
  readonly agents: ChildProcess[] = [];
  spec!: JobSpec;

  async open(role: RoleInput, more: Partial<JobInput> = {}): Promise<void> {
    const files = jobFiles(this.jobDir);
    mkdirSync(files.logs, { recursive: true });
    const env = { PATH: process.env["PATH"] ?? "", HOME: this.home, PYTHONDONTWRITEBYTECODE: "1" };
    this.spec = resolveSpec({ name: "j", roles: [role], cwd: this.home, env, ...more }, files.logs);
    writeJson(files.spec, this.spec);
    writeFileSync(files.token, this.master.token, { mode: 0o600 });
    await this.master.open();
  }

  script(name: string, text: string): string {
    const path = join(this.home, name);
    writeFileSync(path, text);
    return path;
  }

  /** A role of `nproc` ranks of this script. */
  static role(target: string, nproc: number): RoleInput {
    return { nprocPerNode: nproc, entrypoint: { kind: "script", target, python } };
  }

  startAgent(node = "worker-0"): ChildProcess {
    const { token } = jobFiles(this.jobDir);
    const child = spawn(process.execPath, [agentPath, this.jobDir, node, "worker", this.master.address, token], {
      env: { ...process.env, DROVER_NODE_TAG: nodeTag(this.jobDir, node) },
      stdio: ["ignore", "pipe", "inherit"],
    });
    child.stdout.on("data", (data: Buffer) => process.env["AGENT_TEST_LOG"] && process.stderr.write(data));
    this.agents.push(child);
    return child;
  }

  files(node = "worker-0"): NodeFiles {
    return nodeFiles(this.jobDir, node);
  }

  nursery(node = "worker-0"): ProcessIdentity {
    const found = livingProcessIn(this.files(node).nursery);
    if (found === null) throw new Error("there is no nursery");
    return found;
  }

  async joined(round: number): Promise<Received> {
    return this.master.until("join", ({ body }) => body["round"] === round);
  }

  /** Lets `node` join the round and run it alone; gives what it reported when all its ranks ran. */
  async runRound(round: number, node = "worker-0"): Promise<RankReport[]> {
    this.master.join(node, round);
    this.master.run(node, this.assignment(round, await this.joined(round)));
    return this.reported((ranks) => ranks.every((rank) => rank.round === round && rank.state === "running"));
  }

  assignment(round: number, { body }: Received): Assignment {
    const nproc = this.spec.roles[0]!.nprocPerNode;
    const place = { groupRank: 0, groupWorldSize: 1, firstRank: 0, nproc, worldSize: nproc, roleFirstRank: 0, roleWorldSize: nproc };
    return { round, ...place, masterAddr: String(body["storeHost"]), masterPort: Number(body["storePort"]), restartCount: round };
  }

  async reported(isSo: (ranks: RankReport[]) => boolean): Promise<RankReport[]> {
    const isReport = ({ body }: Received): boolean => {
      const ranks = body["ranks"] as RankReport[];
      return ranks.length > 0 && isSo(ranks);
    };
    return (await this.master.until("ranks", isReport)).body["ranks"] as RankReport[];
  }

  output(round: number, rank: number, stream: "out" | "err" = "out"): string {
    try {
      return readFileSync(join(this.spec.logs.dir, String(round), `rank-${rank}.${stream}`), "utf8");
    } catch {
      return "";
    }
  }

  async printed(round: number, rank: number, text: string): Promise<void> {
    await waitFor(() => `"${text}" from rank ${rank}; got "${this.output(round, rank)}"`, () => this.output(round, rank).includes(text) || undefined);
  }

  /** Processes of the job that live. */
  leftovers(): string[] {
    const nurseries = nodesIn(this.jobDir).map((node) => livingProcessIn(this.files(node).nursery));
    return processesOf(jobTag(this.jobDir), { roots: nurseries.filter((found) => found !== null) }).map(({ pid, command }) => `${pid} ${command.replaceAll("\0", " ")}`);
  }

  async close(): Promise<void> {
    const nurseries = nodesIn(this.jobDir).map((node) => livingProcessIn(this.files(node).nursery));
    for (const agent of this.agents) agent.kill("SIGKILL");
    await sweepProcesses(jobTag(this.jobDir), { roots: nurseries.filter((found) => found !== null) });
    await stopZygotes(this.home);
    await this.master.close();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

export async function exitOf(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  return new Promise((resolve) => child.once("exit", (code) => resolve(code)));
}
