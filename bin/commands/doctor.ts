/** drover doctor: what this machine lacks, and what to do about it. */

import { spawnSync } from "node:child_process";
import { accessSync, constants, mkdirSync, readFileSync, statfsSync } from "node:fs";
import { createServer } from "node:net";
import chalk from "chalk";
import { listZygotes } from "../../src/launch/zygote.js";
import { home, listJobs } from "../jobs.js";
import { runRequest } from "../run-options.js";

type Check = Readonly<{ name: string; state: "ok" | "warn" | "fail"; found: string; hint?: string }>;

const gib = 2 ** 30;

export async function doctor(options: Readonly<{ json?: boolean; python?: string }>): Promise<number> {
  const checks = [node(), ...python(options.python), home_(), disk(), sharedMemory(), openFiles(), await ports(), ...(await leftovers())];
  if (options.json === true) process.stdout.write(`${JSON.stringify({ checks })}\n`);
  else {
    const marks = { ok: chalk.green("ok  "), warn: chalk.yellow("warn"), fail: chalk.red("fail") };
    for (const { name, state, found, hint } of checks) process.stdout.write(`${marks[state]}  ${name.padEnd(14)} ${found}${hint === undefined ? "" : `\n      ${hint}`}\n`);
  }
  return checks.some(({ state }) => state === "fail") ? 1 : 0;
}

function node(): Check {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const isNew = major > 20 || (major === 20 && minor >= 19);
  return { name: "node", state: isNew ? "ok" : "fail", found: process.versions.node, ...(isNew ? {} : { hint: "Install Node 20.19 or newer." }) };
}

function python(given: string | undefined): Check[] {
  let path: string;
  try {
    const { input } = runRequest(".", [], { python: given, module: true, name: "doctor" }, process.env, process.cwd());
    path = input.roles[0]?.entrypoint.python ?? "";
  } catch (error) {
    return [{ name: "python", state: "fail", found: error instanceof Error ? error.message : String(error), hint: "Install Python 3.9 or newer." }];
  }
  const probe = "import sys; print('.'.join(map(str, sys.version_info[:3])))\ntry:\n import importlib.metadata as m; print(m.version('torch'))\nexcept Exception: print('')";
  const [version = "", torch = ""] = spawnSync(path, ["-c", probe], { encoding: "utf8" }).stdout.split("\n");
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const isNew = major === 3 && minor >= 9;
  const pySpy = versionOf("py-spy") || versionOf(path.replace(/[^/]*$/, "py-spy"));
  return [
    { name: "python", state: isNew ? "ok" : "fail", found: `${version} (${path})`, ...(isNew ? {} : { hint: "Scripts need Python 3.9 or newer; say which with --python." }) },
    wanted("torch", torch, "Ranks are started cold. pip install torch, if your script needs it."),
    wanted("py-spy", pySpy, "Stacks of hung ranks will be poor. pip install py-spy."),
  ];
}

function versionOf(program: string): string {
  const { status, stdout } = spawnSync(program, ["--version"], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : "";
}

function wanted(name: string, found: string, hint: string): Check {
  return found === "" ? { name, state: "warn", found: "not there", hint } : { name, state: "ok", found };
}

function home_(): Check {
  try {
    mkdirSync(home(), { recursive: true, mode: 0o700 });
    accessSync(home(), constants.W_OK);
    return { name: "home", state: "ok", found: home() };
  } catch (error) {
    return { name: "home", state: "fail", found: error instanceof Error ? error.message : String(error), hint: "Set DROVER_HOME to a folder that you may write to." };
  }
}

function space(name: string, path: string, least: number, hint: string): Check {
  try {
    const { bavail, bsize } = statfsSync(path);
    const free = bavail * bsize;
    const found = `${(free / gib).toFixed(1)} GiB free in ${path}`;
    return free >= least ? { name, state: "ok", found } : { name, state: "warn", found, hint };
  } catch (error) {
    return { name, state: "warn", found: error instanceof Error ? error.message : String(error), hint };
  }
}

const disk = (): Check => space("disk", home(), gib, "The journal and the logs of ranks need room; a full disk makes the job wait.");
const sharedMemory = (): Check => space("shared memory", "/dev/shm", gib / 4, "Data loaders and NCCL need /dev/shm; in a container: --shm-size.");

function openFiles(): Check {
  const most = Number(/Max open files\s+(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? 0);
  const isEnough = most >= 4_096;
  return { name: "open files", state: isEnough ? "ok" : "warn", found: String(most), ...(isEnough ? {} : { hint: "ulimit -n 65536" }) };
}

function ports(): Promise<Check> {
  return new Promise((resolve) => {
    const server = createServer();
    server.on("error", (error) => resolve({ name: "ports", state: "fail", found: error.message, hint: "A process must be able to listen on 127.0.0.1." }));
    server.listen(0, "127.0.0.1", () => server.close(() => resolve({ name: "ports", state: "ok", found: "127.0.0.1 can be listened on" })));
  });
}

async function leftovers(): Promise<Check[]> {
  const down = listJobs().filter(({ state }) => state === "down");
  const warm = await listZygotes(home());
  return [
    ...down.map(({ name }): Check => ({ name: "job", state: "warn", found: `${name} is down, but has not ended`, hint: `drover resume ${name}, or drover stop ${name}` })),
    { name: "warm", state: "ok", found: warm.length === 0 ? "no warm interpreters" : `${warm.length} warm interpreter(s); drover stop --warm ends them` },
  ];
}
