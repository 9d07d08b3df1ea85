/**
 * DLRover's `dlrover-run` as the agent of a node on this machine.
 *
 * It runs in PID and mount namespaces of its own, as its process 1: it kills whatever on its machine looks like an orphan of torchelastic's, and
 * keeps its files at fixed paths, which the nodes of a job would share. What it leads to ends with it.
 *
 * - G1  /tmp/dlrover, /tmp/ckpt_sock and /dev/shm are folders of the node. What an agent kept in memory is of no use without it (it knew what lies
 *       where), and is given back before the next one starts, and by `forgetMemory`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { JobSpec } from "../job/job-spec.js";
import { jobTag, nodeTag } from "./job-tag.js";
import type { AgentSpec } from "./launcher.js";
import { nodeDirOf } from "./job-folder.js";
import { identityOf, type ProcessIdentity, signalProcess } from "./process-identity.js";

const memoryRoot = "/dev/shm";

/** Runs `$4…` with the folders $1, $2 and $3 in place of DLRover's fixed ones. */
const inside = 'set -e; mkdir -p /tmp/dlrover /tmp/ckpt_sock; mount --bind "$1" /tmp/dlrover; mount --bind "$2" /tmp/ckpt_sock; mount --bind "$3" /dev/shm; shift 3; exec "$@"';

/** Arguments of `unshare` before the program. Whoever is not root becomes it in a user namespace: to mount takes that. */
export function namespaces(): string[] {
  const isRoot = process.getuid?.() === 0;
  return ["--fork", "--pid", "--mount", "--mount-proc", "--kill-child", ...(isRoot ? [] : ["--map-root-user"])];
}

export function startDlroverAgent(spec: AgentSpec, job: JobSpec): ChildProcess {
  const { node, role } = spec;
  const { entrypoint } = job.roles.find((each) => each.role === role) ?? fail(`the job has no ${role}`);
  const dir = nodeDirOf(spec.jobDir, node);
  const folders = [join(dir, "dlrover"), join(dir, "ckpt_sock"), join(memoryRoot, memoryName(spec.jobDir, node))];
  forgetMemory(spec.jobDir, node);
  for (const folder of folders) mkdirSync(folder, { recursive: true, mode: 0o700 });
  mkdirSync(job.logs.dir, { recursive: true });
  const out = openSync(join(job.logs.dir, `${node}.out`), "a", 0o600);
  const err = openSync(join(job.logs.dir, `${node}.err`), "a", 0o600);
  const program = [entrypoint.python, "-m", "dlrover.trainer.torch.elastic_run", ...job.agents.flags, entrypoint.target, ...entrypoint.args];
  const args = [...namespaces(), "sh", "-c", inside, "sh", ...folders, ...program];
  try {
    return spawn("unshare", args, { cwd: job.cwd, detached: true, env: environmentOf(spec, job), stdio: ["ignore", out, err] });
  } finally {
    closeSync(out);
    closeSync(err);
  }
}

function environmentOf(spec: AgentSpec, job: JobSpec): Record<string, string> {
  const { node, role, nodeRank, jobDir, masterAddress, tokenPath } = spec;
  const [host = ""] = masterAddress.split(":");
  const proxies = ["no_proxy", "NO_PROXY"].map((name) => [name, [job.env[name], host].filter(Boolean).join(",")]);
  return {
    PYTHONUNBUFFERED: "1",
    ...job.env,
    ...(Object.fromEntries(proxies) as Record<string, string>),
    DLROVER_MASTER_ADDR: masterAddress,
    DLROVER_MASTER_SERVICE_TYPE: job.env["DLROVER_MASTER_SERVICE_TYPE"] ?? "grpc",
    JOB_UID: readFileSync(tokenPath, "utf8").trim(),
    ELASTIC_JOB_NAME: job.name,
    NODE_TYPE: role,
    NODE_ID: /\d+$/.exec(node)?.[0] ?? String(nodeRank),
    NODE_RANK: String(nodeRank),
    POD_NAME: node,
    POD_IP: "127.0.0.1",
    NODE_IP: "127.0.0.1",
    DROVER_NODE_TAG: nodeTag(jobDir, node),
  };
}

/** SIGTERM for the agent in the namespaces: `unshare`, which started it, only waits. */
export function askDlroverAgentToEnd({ pid }: ProcessIdentity): boolean {
  const children = readChildren(pid);
  return children.map((child) => signalProcess(identityOf(child), "SIGTERM")).includes(true);
}

function readChildren(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);
  } catch {
    return []; // It ended.
  }
}

/** G1: of one node, or of the whole job. */
export function forgetMemory(jobDir: string, node: string | null = null): void {
  if (!existsSync(memoryRoot)) return;
  const isMeant = (name: string): boolean => (node === null ? name.startsWith(memoryName(jobDir, "")) : name === memoryName(jobDir, node));
  for (const name of readdirSync(memoryRoot)) if (isMeant(name)) rmSync(join(memoryRoot, name), { recursive: true, force: true });
}

function memoryName(jobDir: string, node: string): string {
  return `drover-${jobTag(jobDir).replace("/", "")}-${node}`;
}

function fail(what: string): never {
  throw new Error(what);
}
