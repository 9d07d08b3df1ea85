/** drover ps and drover status. */

import chalk from "chalk";
import Table from "cli-table3";
import { listSpares } from "../../src/launch/spare.js";
import { listZygotes } from "../../src/launch/zygote.js";
import type { JobStatus } from "../../src/wire/job-status.js";
import { failureText } from "../failure-text.js";
import { findJob, home, listJobs, statusOf } from "../jobs.js";
import { clockOf, liveBlock } from "../live-block.js";

const edges = "top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid".split(" ");
const bare = {
  chars: { ...Object.fromEntries(edges.map((name) => [name, ""])), middle: "  " },
  style: { "padding-left": 0, "padding-right": 0, head: [], border: [] },
};

export function printTable(head: string[], rows: readonly (readonly (string | number | null)[])[]): void {
  const table = new Table({ head: head.map((name) => chalk.bold(name)), ...bare });
  for (const row of rows) table.push(row.map((cell) => cell ?? "-"));
  process.stdout.write(`${table.toString()}\n`);
}

export async function ps(options: Readonly<{ json?: boolean }>): Promise<number> {
  const jobs = await Promise.all(
    listJobs().map(async (job) => {
      const status = await statusOf(job, job.state === "live" ? 2_000 : 0).catch(() => null); // Down: nobody answers, and that is what is shown.
      const { stage = null, step = null, worldSize = null, restarts = null } = status ?? {};
      return { job: job.name, state: job.state, stage, step, worldSize, restarts, pid: status?.master.pid ?? null, address: status?.master.address ?? null };
    }),
  );
  const [zygotes, spares] = await Promise.all([listZygotes(home()), listSpares(home())]);
  if (options.json === true) {
    process.stdout.write(`${JSON.stringify({ jobs, warm: zygotes, spares })}\n`);
    return 0;
  }
  if (jobs.length === 0) process.stdout.write(`No jobs under ${home()}.\n`);
  else {
    const rows = jobs.map(({ job, state, stage, worldSize, step, restarts, pid }) => [job, state, stage, worldSize, step, restarts, pid]);
    printTable(["job", "state", "stage", "ranks", "step", "restarts", "master"], rows);
  }
  const since = (startedAtMs: number | null): string => (startedAtMs === null ? "-" : clockOf(Date.now() - startedAtMs));
  if (zygotes.length > 0) {
    process.stdout.write("\n");
    printTable(["warm", "python", "torch", "nurseries", "for"], zygotes.map((zygote) => [zygote.pid, zygote.python, zygote.torch, zygote.nurseries, since(zygote.startedAtMs)]));
  }
  if (spares.length > 0) {
    process.stdout.write("\n");
    printTable(["spare", "pid", "for"], spares.map((spare) => [spare.kind, spare.pid, since(spare.startedAtMs)]));
  }
  return 0;
}

export async function status(name: string | undefined, options: Readonly<{ json?: boolean }>): Promise<number> {
  const found = await statusOf(findJob(name));
  if (options.json === true) process.stdout.write(`${JSON.stringify(found)}\n`);
  else printStatus(found);
  return 0;
}

function printStatus(found: JobStatus): void {
  const { master, nodes, ranks } = found;
  process.stdout.write(`${liveBlock(found, (found.endedAtMs ?? Date.now()) - found.createdAtMs)}\n`);
  if (found.stage === "failed") process.stdout.write(`${failureText(found)}\n`);
  else if (found.reason) process.stdout.write(`${found.reason.message}\n`);
  process.stdout.write(`master ${master.pid === null ? "gone" : `pid ${master.pid}`} at ${master.address ?? "-"}, ${master.restarts} restarts\n\n`);
  const misfits = found.dlrover?.misfits ?? [];
  if (misfits.length > 0) {
    const counted = misfits.map(({ kind, cls, count }) => `${count} ${kind}${cls === "" ? "" : ` (${cls})`}`).join(", ");
    process.stdout.write(`messages of agents that were answered neutrally: ${counted}\n\n`);
  }
  printTable(
    ["node", "role", "state", "host", "agent", "restarts", "cpu", "MiB"],
    nodes.map((node) => [node.id, node.role, node.state, node.host, node.agentPid, node.restarts, coresOf(node), mebibytesOf(node)]),
  );
  process.stdout.write("\n");
  printTable(
    ["rank", "node", "state", "pid", "round", "step", "loss", "samples/s", "cpu", "MiB"],
    ranks.map((rank) => [
      rank.rank,
      rank.node,
      rank.state,
      rank.pid,
      rank.incarnation,
      rank.step,
      typeof rank.loss === "number" ? rank.loss.toPrecision(4) : rank.loss,
      rank.samplesPerSecond === null ? null : Math.round(rank.samplesPerSecond),
      coresOf(rank),
      mebibytesOf(rank),
    ]),
  );
}

type Use = Readonly<{ cpuCores: number | null; memoryBytes: number | null }>;

const coresOf = ({ cpuCores }: Use): string | null => cpuCores?.toFixed(1) ?? null;

const mebibytesOf = ({ memoryBytes }: Use): number | null => (memoryBytes === null ? null : Math.round(memoryBytes / 2 ** 20));
