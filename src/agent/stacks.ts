/**
 * What every rank is doing right now, as text for a person: Python stacks from py-spy where there is one, else what the kernel tells.
 */

import { execFile } from "node:child_process";
import { accessSync, constants, readFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { readStat } from "../launch/process-identity.js";
import type { KnownRank } from "./rank-book.js";

const dumpTimeoutMs = 10_000;
const rankBytesMax = 16 * 1024;
const textBytesMax = 60 * 1024;

/** At most 60 KiB, within about 10 s. `python`: the interpreter of the ranks, beside which py-spy may lie. */
export async function collectStacks(ranks: readonly KnownRank[], python: string, path: string): Promise<string> {
  if (ranks.length === 0) return "No rank runs on this node.";
  const spy = findSpy(python, path);
  const texts = await Promise.all(ranks.map(async (rank) => `rank ${rank.rank}, process ${rank.pid}\n${await stacksOf(rank.pid, spy)}`));
  return texts.join("\n\n").slice(0, textBytesMax);
}

async function stacksOf(pid: number, spy: string | null): Promise<string> {
  if (readStat(pid) === null) return "It is gone.";
  const hint = "Python stacks need py-spy: install it beside the ranks' interpreter (pip install py-spy) or in PATH.";
  if (spy === null) return `${kernelView(pid)}\n${hint}`;
  const { text, isDone } = await dump(spy, pid);
  return (isDone ? text : `${spy} could not dump it: ${text}\n${kernelView(pid)}`).slice(0, rankBytesMax);
}

function dump(spy: string, pid: number): Promise<{ text: string; isDone: boolean }> {
  return new Promise((resolve) => {
    execFile(spy, ["dump", "--pid", String(pid)], { timeout: dumpTimeoutMs, maxBuffer: 1024 * 1024, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      const isDone = error === null && stdout !== "";
      resolve({ text: (isDone ? stdout : stderr || (error?.message ?? "it said nothing")).trimEnd(), isDone });
    });
  });
}

/** State, system call that it waits in, and the kernel's stack where this user may see it. */
function kernelView(pid: number): string {
  const state = /^State:\s+(.*)$/m.exec(read(`/proc/${pid}/status`))?.[1] ?? "unknown";
  const parts = [`State: ${state}`, `waits in: ${read(`/proc/${pid}/wchan`) || "not known"}`, `system call: ${read(`/proc/${pid}/syscall`).trim() || "not known"}`];
  const stack = read(`/proc/${pid}/stack`).trim();
  return [...parts, ...(stack === "" ? [] : ["kernel stack:", stack])].join("\n");
}

function findSpy(python: string, path: string): string | null {
  const folders = [...(python === "" ? [] : [dirname(python)]), ...path.split(delimiter)];
  return folders.map((folder) => join(folder, "py-spy")).find(isExecutable) ?? null;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "latin1");
  } catch {
    return ""; // Gone, or not for this user.
  }
}
