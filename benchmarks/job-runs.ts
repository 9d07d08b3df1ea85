/** One training run for the benchmarks, under drover or torchrun, and what its ranks recorded of their steps. */

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));
const droverPath = join(root, "lib/bin/drover.js");
const script = join(root, "test/fixtures/ddp_train.py");

/** The interpreter with torch. */
export const python = process.env["DROVER_TEST_PYTHON"] ?? join(root, ".venv/bin/python");

export type Step = Readonly<{ incarnation: number; step: number | "start"; atMs: number; pid: number; world: number }>;

/** A folder for one run: home of drover, output of the script. */
export class Run {
  readonly home: string;
  readonly out: string;
  startedAtMs = 0;
  child: ChildProcess | null = null;
  #ended: Promise<number | null> = Promise.resolve(null);
  output = "";

  constructor(home?: string) {
    this.home = home ?? mkdtempSync(join(tmpdir(), "drover-bench-"));
    this.out = mkdtempSync(join(tmpdir(), "drover-bench-out-"));
  }

  #spawn(command: string, args: readonly string[]): void {
    this.startedAtMs = Date.now();
    const env = { ...process.env, DROVER_HOME: this.home, OMP_NUM_THREADS: "1" };
    const child = spawn(command, args, { env, cwd: this.out, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    const keep = (data: Buffer): void => {
      this.output = (this.output + data.toString()).slice(-20_000);
    };
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    this.#ended = new Promise((resolve) => child.on("close", (code) => resolve(code)));
  }

  torchrun(options: readonly string[], scriptOptions: readonly string[]): void {
    const args = ["--standalone", "--nproc-per-node", "2", ...options, script, "--out", this.out, ...scriptOptions];
    this.#spawn(join(dirname(python), "torchrun"), args);
  }

  drover(options: readonly string[], scriptOptions: readonly string[]): void {
    const args = ["run", "--name", "bench", "--python", python, "--nproc-per-node", "2", ...options, script, "--out", this.out, ...scriptOptions];
    this.#spawn(process.execPath, [droverPath, ...args]);
  }

  /** A command instead of the training script. */
  droverCommand(args: readonly string[]): void {
    this.#spawn(process.execPath, [droverPath, "run", "--name", "bench", ...args]);
  }

  /** Calls another drover command in this home. */
  command(...args: string[]): string {
    return execFileSync(process.execPath, [droverPath, ...args], { env: { ...process.env, DROVER_HOME: this.home } }).toString();
  }

  ended(): Promise<number | null> {
    return this.#ended;
  }

  steps(rank: number): Step[] {
    let text = "";
    try {
      text = readFileSync(join(this.out, `steps-${rank}.txt`), "utf8");
    } catch {
      return [];
    }
    return text
      .split("\n")
      .map((line) => line.split(" "))
      .filter((fields) => fields.length === 5)
      .map(([incarnation, step, at, pid, world]) => ({
        incarnation: Number(incarnation),
        step: step === "start" ? ("start" as const) : Number(step),
        atMs: Number(at) * 1000,
        pid: Number(pid),
        world: Number(world),
      }));
  }

  /** The first recorded line that `isSo`, or null when the run ended or `timeoutMs` is over. */
  async firstStep(rank: number, isSo: (step: Step) => boolean, timeoutMs: number): Promise<Step | null> {
    const deadline = Date.now() + timeoutMs;
    while (Date.now() < deadline) {
      const found = this.steps(rank).find(isSo);
      if (found) return found;
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    return null;
  }

  /** Ends what is left of the run, by pid, and removes its folders. */
  async close(): Promise<void> {
    if (this.child?.exitCode === null) this.child.kill("SIGKILL");
    for (const pid of this.processes()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended while we looked.
      }
    }
    await this.#ended;
    rmSync(this.out, { recursive: true, force: true });
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }

  /** Agent, nursery and ranks of one node. */
  nodeProcesses(node: string): number[] {
    return this.processes().filter((pid) => {
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      return environment.includes(`DROVER_NODE_ID=${node}`) || command.includes(`/nodes/${node}`) || /agent\.js/.test(command) && command.includes(node);
    });
  }

  /** Processes that carry this run's home, or its output folder on their command line. */
  processes(): number[] {
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name) || Number(name) === process.pid) return [];
      try {
        const environment = readFileSync(`/proc/${name}/environ`, "utf8").split("\0");
        const isOurs = environment.includes(`DROVER_HOME=${this.home}`) || readFileSync(`/proc/${name}/cmdline`, "utf8").includes(this.out);
        return isOurs ? [Number(name)] : [];
      } catch {
        return [];
      }
    });
  }
}
