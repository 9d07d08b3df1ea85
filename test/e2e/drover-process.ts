/**
 * The far side of the end-to-end tests: runs the real `drover` command in a home of its own and looks at what became of the machine.
 *
 * Every process that a job starts carries its home in DROVER_HOME; that is how `leftovers` finds what was not cleaned up.
 */

import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { finalOf } from "../../bin/jobs.js";
import { jobDirOf } from "../../src/launch/job-folder.js";
import { JobClient } from "../../src/wire/client.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
export const droverPath = join(root, "lib/bin/drover.js");
export const ddpTrain = join(root, "test/fixtures/ddp_train.py");

/** The interpreter with torch that `npm test` made, or the one named by DROVER_TEST_PYTHON. */
export const python = process.env["DROVER_TEST_PYTHON"] ?? join(root, ".venv/bin/python");

export type StatusJson = {
  job: string;
  stage: string;
  reason: { code: string; message: string } | null;
  master: { pid: number | null; address: string | null; restarts: number };
  nodes: readonly { id: string; host: string | null; agentPid: number | null; state: string; restarts: number; memoryBytes: number | null }[];
  ranks: readonly { rank: number; localRank: number; node: string; pid: number | null; incarnation: number; state: string; step: number | null }[];
  restarts: number;
  relaunches: number;
  step: number | null;
  goodput: number | null;
};

export type Finished = { code: number | null; signal: string | null; stdout: string; stderr: string };

/** How long a condition is waited for. Only a test that fails waits for so long, and a machine may be slow. */
const patienceMs = 120_000;

/** One home with the jobs in it. */
export class DroverHome {
  readonly path: string;
  readonly out: string;
  readonly #folder: string;
  readonly #children = new Set<ChildProcess>();
  readonly #clients = new Map<string, JobClient>();

  /** `deep`: folders above the home, for paths that are too long for a socket. */
  constructor(deep = "") {
    this.#folder = mkdtempSync(join(tmpdir(), "drover-e2e-"));
    this.path = join(this.#folder, deep);
    mkdirSync(this.path, { recursive: true });
    this.out = join(this.path, "out");
  }

  /** kill -9 of all that `leftovers` names and `isMeant`; how many these were. */
  killLeftovers(isMeant: (line: string) => boolean = () => true): number {
    const pids = this.leftovers().filter(isMeant).map((line) => Number(line.split(" ", 1)[0]));
    for (const pid of pids) killIfAlive(pid);
    return pids.length;
  }

  /** Starts the command; `finished` never rejects. */
  start(args: readonly string[], env: Record<string, string> = {}): { child: ChildProcess; finished: Promise<Finished> } {
    const child = spawn(process.execPath, [droverPath, ...args], {
      cwd: this.path,
      env: { ...process.env, DROVER_HOME: this.path, NO_COLOR: "1", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#children.add(child);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    const finished = new Promise<Finished>((resolve) => {
      child.on("close", (code, signal) => {
        this.#children.delete(child);
        resolve({ code, signal, stdout, stderr });
      });
    });
    return { child, finished };
  }

  async call(args: readonly string[]): Promise<Finished> {
    return this.start(args).finished;
  }

  async status(job: string): Promise<StatusJson> {
    const { code, stdout, stderr } = await this.call(["status", job, "--json"]);
    if (code !== 0) throw new Error(`drover status ended with ${String(code)}: ${stderr}${stdout}`);
    return JSON.parse(stdout) as StatusJson;
  }

  /** What a process of the job wrote of itself. */
  record(job: string, of: "master" | "watchdog"): { pid: number; restarts: number } {
    return JSON.parse(readFileSync(join(this.path, "jobs", job, `${of}.json`), "utf8")) as { pid: number; restarts: number };
  }

  /** The status once `isSo` holds; the last one seen is in the error. Asked of the master: a command for each look would be most of what the machine does. */
  async until(job: string, what: string, isSo: (status: StatusJson) => boolean): Promise<StatusJson> {
    let last: unknown = "no status";
    return waitFor(
      () => `${what}; last seen: ${JSON.stringify(last)}`,
      async () => {
        const status = await this.#look(job).catch((error: unknown) => void (last = String(error)));
        if (status) last = status;
        return status && isSo(status) ? status : undefined;
      },
    );
  }

  async #look(job: string): Promise<StatusJson> {
    const dir = jobDirOf(this.path, job);
    const client = this.#clients.get(job) ?? new JobClient(dir, { patienceMs: 0 });
    this.#clients.set(job, client);
    return finalOf(dir)?.job ?? (await client.status());
  }

  /** Steps that rank recorded: incarnation, step (or "start"), epoch seconds, pid, world size. */
  steps(rank: number, out = this.out): { incarnation: number; step: number | "start"; at: number; pid: number; world: number }[] {
    let text = "";
    try {
      text = readFileSync(join(out, `steps-${rank}.txt`), "utf8");
    } catch {
      return [];
    }
    return text
      .split("\n")
      .filter((line) => line.split(" ").length === 5)
      .map((line) => line.split(" "))
      .map(([incarnation, step, at, pid, world]) => ({
        incarnation: Number(incarnation),
        step: step === "start" ? "start" : Number(step),
        at: Number(at),
        pid: Number(pid),
        world: Number(world),
      }));
  }

  /** What rank 0 did is every step once, but for the one that its checkpoint had not reached when its world was taken down. */
  expectWhole(steps: number): void {
    let last = -1;
    let isFirst = true;
    for (const { step } of this.steps(0)) {
      if (step === "start") isFirst = true;
      else {
        expect(step, `after step ${last}`).to.be.oneOf(isFirst ? [last, last + 1] : [last + 1]);
        [last, isFirst] = [step, false];
      }
    }
    expect(last).to.equal(steps - 1);
  }

  /** Processes of this home that still live, as `pid command`. */
  leftovers(): string[] {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
      .flatMap((pid) => {
        try {
          const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
          if (!environment.includes(`DROVER_HOME=${this.path}`)) return [];
          if (/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"))) return [];
          return [`${pid} ${readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ")}`];
        } catch {
          return []; // It ended while we looked.
        }
      });
  }

  /** Ends whatever is left, so that a failed test does not disturb the next, and removes the folder. */
  close(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    for (const client of this.#clients.values()) client.close();
    this.killLeftovers();
    rmSync(this.#folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Polls until `look` gives something. */
export async function waitFor<Found>(
  what: string | (() => string),
  look: () => Promise<Found | undefined> | Found | undefined,
  timeoutMs = patienceMs,
): Promise<Found> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${typeof what === "string" ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** kill -9 of a process that may end by itself, or with another, meanwhile. */
export function killIfAlive(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/** Whether the process lives (a zombie is dead). */
export function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+[ZX]/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

/** Output of a program, for checks such as `ps`. */
export function outputOf(program: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(program, args, (error, stdout) => (error ? reject(new Error(error.message, { cause: error })) : resolve(stdout)));
  });
}
