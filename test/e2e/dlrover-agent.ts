/**
 * Real DLRover agents and the master that serves them: `dlrover-run` 0.6.1 in PID and mount namespaces of its own (it kills whatever on its machine
 * looks like an orphan of torchelastic's, and uses fixed paths under /tmp), and `drover master`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { DroverHome, type Finished, killIfAlive, waitFor } from "./drover-process.js";
import { jobDirOf, jobFiles, type MasterRecord, readJson } from "../../src/launch/job-folder.js";
import type { HistoryEvent, HistoryQuery } from "../../src/store/journal-messages.js";
import { JournalReader } from "../../src/store/journal-reader.js";
import { eventJson } from "../../src/wire/event-json.js";
import { dlroverPython } from "./dlrover-python.js";

export type Wire = "grpc" | "http";
export const wires: readonly Wire[] = ["grpc", "http"];

export const fixtures = fileURLToPath(new URL("../../../test/fixtures/dlrover/", import.meta.url));

export type AgentOptions = Readonly<{
  /** NODE_ID; NODE_RANK is the same unless it is said. */
  id: number;
  rank?: number;
  /** Arguments of dlrover-run before the script. */
  args: readonly string[];
  script?: string;
  env?: Readonly<Record<string, string>>;
}>;

/** One `dlrover-run`, with its ranks. */
export class DlroverAgent {
  readonly child: ChildProcess;
  readonly finished: Promise<Readonly<{ code: number | null; output: string }>>;
  output = "";

  constructor(job: DlroverJob, { id, rank = id, args, script = join(fixtures, "train.py"), env = {} }: AgentOptions) {
    const own = join(job.home.path, `node-${rank}`);
    mkdirSync(own, { recursive: true });
    const inside = `mkdir -p /tmp/dlrover /tmp/ckpt_sock ${own}/{tmp,sock,shm} && mount --bind ${own}/tmp /tmp/dlrover && mount --bind ${own}/sock /tmp/ckpt_sock && mount --bind ${own}/shm /dev/shm && exec "$@"`;
    const isRoot = process.getuid?.() === 0;
    const apart = ["--fork", "--pid", "--mount", "--mount-proc", "--kill-child", ...(isRoot ? [] : ["--map-root-user"])];
    const run = [dlroverPython, "-W", "ignore", "-m", "dlrover.trainer.torch.elastic_run", ...args, script];
    this.child = spawn("unshare", [...apart, "bash", "-c", inside, "bash", ...run], {
      cwd: job.home.path,
      env: {
        PATH: process.env["PATH"],
        HOME: job.home.path,
        DROVER_HOME: job.home.path,
        NO_PROXY: "*",
        OMP_NUM_THREADS: "1",
        DLROVER_MASTER_ADDR: job.address,
        DLROVER_MASTER_SERVICE_TYPE: job.wire,
        NODE_ID: String(id),
        NODE_RANK: String(rank),
        ELASTIC_JOB_NAME: `e2e-${job.wire}`,
        POD_IP: "127.0.0.1",
        NODE_IP: "127.0.0.1",
        OUT: job.out,
        ...env,
      },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.child.stdout, this.child.stderr]) stream?.on("data", (data: Buffer) => (this.output += data.toString()));
    this.finished = new Promise((resolve) => this.child.on("close", (code) => resolve({ code, output: this.output })));
  }

  /** The agent and its ranks, as a machine that loses its power. */
  kill(): void {
    this.child.kill("SIGKILL");
  }
}

/** A stock client says a lost request again after this time, ten times; and its gRPC waits longer each time before it connects again. */
const retryMs = 5_000;
const unansweredMaxMs = 15_000;

/**
 * kill -9 of the master, again and again, each time once the next one serves. Where that takes long, on a slow machine, somebody is answered in between, and
 * all have their turn: stock clients give up after 50 s. Ends before its time only with the job.
 */
export async function killMaster(home: DroverHome, times: number, isOver = (): boolean => false, haveTurnsMs = retryMs): Promise<void> {
  let answeredAtMs = Date.now();
  for (let time = 0; time < times && !isOver(); time++) {
    const { pid, restarts } = home.record("j", "master");
    killIfAlive(pid);
    await waitFor(`master ${time + 2}`, () => home.record("j", "master").restarts > restarts || isOver() || undefined);
    if (Date.now() - answeredAtMs < unansweredMaxMs) continue;
    await waitFor("an answer to an agent or a client", async () => isOver() || (await hasAnswered(home)) || undefined);
    await setTimeout(haveTurnsMs);
    answeredAtMs = Date.now();
  }
}

/** This master has answered a message of DLRover's. */
async function hasAnswered(home: DroverHome): Promise<boolean> {
  const { master, token } = jobFiles(jobDirOf(home.path, "j"));
  const { address } = readJson(master) as MasterRecord;
  const headers = { authorization: `Bearer ${readFileSync(token, "utf8").trim()}` };
  const text = await fetch(`http://${address}/metrics`, { headers }).then((response) => response.text(), () => "");
  return /^drover_dlrover_messages_total\{.*\} [1-9]/m.test(text);
}

/** A job whose agents are DLRover's, and a master for it. */
export class DlroverJob {
  readonly home = new DroverHome();
  readonly wire: Wire;
  readonly out: string;
  readonly agents: DlroverAgent[] = [];
  address = "";
  isTakenUp = false;
  #master: { child: ChildProcess; finished: Promise<Finished> } | null = null;

  constructor(wire: Wire) {
    this.wire = wire;
    this.out = this.home.out;
    mkdirSync(this.out, { recursive: true });
  }

  /** Gives the command, and waits for its word that it serves. */
  async begin(args: readonly string[]): Promise<this> {
    const command = this.home.start(["master", "--name", "j", "--json", ...args]);
    this.#master = command;
    let text = "";
    command.child.stdout?.on("data", (data: Buffer) => (text += data.toString()));
    void command.finished.then(({ code, stderr }) => (text += `ended with ${String(code)}: ${stderr}`));
    const line = await waitFor(() => `the master's address; the command said ${text}`, () => /^\{.*"type":"serving".*\}$/m.exec(text)?.[0]);
    const { address, isTakenUp } = JSON.parse(line) as { address: string; isTakenUp: boolean };
    this.address = address;
    this.isTakenUp = isTakenUp;
    return this;
  }

  /** kill -9 of the command, the watchdog and the master: as if their machine had lost its power. */
  async killAll(): Promise<void> {
    this.#master?.child.kill("SIGKILL");
    for (const { pid } of [this.home.record("j", "watchdog"), this.master()]) killIfAlive(pid);
    await this.ended;
  }

  start(options: AgentOptions): DlroverAgent {
    const agent = new DlroverAgent(this, options);
    this.agents.push(agent);
    return agent;
  }

  /** How the command ended. */
  get ended(): Promise<Finished> {
    if (!this.#master) throw new Error("the master was not started");
    return this.#master.finished;
  }

  master(): Readonly<{ pid: number; restarts: number }> {
    return this.home.record("j", "master");
  }

  /** See `killMaster`. */
  async killMaster(times: number): Promise<void> {
    let isOver = false;
    void this.ended.then(() => (isOver = true));
    await killMaster(this.home, times, () => isOver, this.agents.length > 0 ? retryMs : 0);
  }

  /** Events of the job of this type. */
  events(type: string): readonly Record<string, unknown>[] {
    return this.#history({ order: "oldest-first", types: [type], limit: 10_000 }).map(({ event }) => event as Record<string, unknown>);
  }

  /** The last of all its events, in their order. */
  lastEvents(limit: number): readonly HistoryEvent[] {
    return this.#history({ order: "newest-first", limit }).reverse();
  }

  #history(query: HistoryQuery): HistoryEvent[] {
    const reader = new JournalReader(jobFiles(jobDirOf(this.home.path, "j")).state);
    try {
      return reader.read(query);
    } finally {
      reader.close();
    }
  }

  /** What a rank wrote down. */
  steps(rank: number): { step: number; world: number; restart: number; life: string }[] {
    if (!readdirSync(this.out).includes(`rank-${rank}.txt`)) return [];
    const lines = readFileSync(join(this.out, `rank-${rank}.txt`), "utf8").split("\n").filter((line) => line.endsWith("}"));
    return lines.map((line) => JSON.parse(line) as { step: number; world: number; restart: number; life: string });
  }

  async untilStep(rank: number, step: number, world: number): Promise<void> {
    await waitFor(
      () => `step ${step} of rank ${rank} in a world of ${world}; agents said: ${this.agents.map(({ output }) => output.slice(-1_500)).join("\n---\n")}`,
      () => this.steps(rank).find((line) => line.step >= step && line.world === world),
    );
  }

  async close(): Promise<void> {
    for (const agent of this.agents) agent.kill();
    await Promise.all(this.agents.map(({ finished }) => finished));
    this.#master?.child.kill("SIGKILL");
    await this.home.call(["stop", "j", "--kill"]);
    this.home.close();
  }
}

/** The ranks of a home that run the script, by their pids out here. */
export function ranksOf(home: string, script: string): number[] {
  return readdirSync("/proc").map(Number).filter((pid) => {
    if (!Number.isSafeInteger(pid)) return false;
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(script)) return false;
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      return environment.includes(`DROVER_HOME=${home}`) && environment.some((variable) => variable.startsWith("LOCAL_RANK="));
    } catch {
      return false; // It ended while it was looked at.
    }
  });
}

/** How long a scenario may take, well under mocha's limit: one that hangs says what its agents and its master said last. */
const scenarioMaxMs = 540_000;

/** Runs a scenario over both transports at the same time. */
export async function overBoth(scenario: (job: DlroverJob) => Promise<void>): Promise<void> {
  await Promise.all(
    wires.map(async (wire) => {
      const job = new DlroverJob(wire);
      const limit = new AbortController();
      try {
        await Promise.race([
          scenario(job),
          setTimeout(scenarioMaxMs, undefined, { signal: limit.signal }).then(() => {
            throw new Error(`it has not ended after ${scenarioMaxMs / 1_000} s`);
          }),
        ]);
      } catch (error) {
        const said = job.agents.map(({ output }) => output.slice(-2_000)).join("\n--- next agent\n");
        const events = job.lastEvents(150).map(eventJson).join("\n");
        throw new Error(`over ${wire}: ${error instanceof Error ? error.message : String(error)}\n${said}\n--- the job's last events\n${events}`, { cause: error });
      } finally {
        limit.abort();
        await job.close();
      }
    }),
  );
}
