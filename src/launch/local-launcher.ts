/**
 * Agents as processes of this machine.
 *
 * The machine is one host with what it really has; many nodes may share it (`nodesMax`), so that `--nnodes 1:4` can be tried on a
 * laptop. An agent is a session of its own, with its output in a file: it outlives whoever launched it.
 *
 * The end of an agent that this process launched is seen at once (SIGCHLD); that of an adopted one by looking at its start time every
 * `lookEveryMs`.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { hostname } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { builtModule } from "../base/built-file.js";
import type { JobSpec } from "../job/job-spec.js";
import type { HostRecord } from "../job/scale-plan.js";
import { jobFiles, nodesIn, readJson } from "./job-folder.js";
import { jobTag, nodeTag } from "./job-tag.js";
import type { AgentEnd, AgentHandle, AgentSpec, Launcher } from "./launcher.js";
import { machineResources } from "./machine.js";
import { livingProcessIn, makeNodeDirs, nodeFiles, writeIdentity } from "./node-files.js";
import { isAlive, type ProcessIdentity, signalProcess, startTimeOf } from "./process-identity.js";
import { sweepProcesses } from "./process-sweep.js";

const agentPath = fileURLToPath(builtModule("bin/agent.js"));
/** Small heap, young generation included: an agent holds little, and there is one a node. */
const nodeFlags = ["--max-old-space-size=96", "--max-semi-space-size=1", "--no-warnings"];
const nodesMax = 10_000;
const lookEveryMs = 250;
/** How long an agent may take, beyond the grace of its ranks, to end itself. */
const politenessMs = 5_000;

type Watch = Readonly<{ handle: AgentHandle; onEnd: (end: AgentEnd) => void }>;

export class LocalLauncher implements Launcher {
  readonly kind = "local";
  readonly #custom: Readonly<Record<string, number>>;
  /** Children of this process, by `pid startTime`; an ended one keeps how it ended until it is watched. */
  readonly #children = new Map<string, { end: AgentEnd | null; onEnd: ((end: AgentEnd) => void) | null }>();
  readonly #adopted = new Map<string, Watch>();
  #timer: NodeJS.Timeout | null = null;

  /** `custom`: resources of this machine beyond cpu, memory and gpu. */
  constructor(custom: Readonly<Record<string, number>> = {}) {
    this.#custom = custom;
  }

  discoverHosts(onHosts: (hosts: readonly HostRecord[]) => void): void {
    onHosts([{ host: hostname(), address: "127.0.0.1", total: machineResources(this.#custom), nodesMax, isUp: true }]);
  }

  async launch(spec: AgentSpec): Promise<AgentHandle> {
    const files = nodeFiles(spec.jobDir, spec.node);
    makeNodeDirs(files);
    const living = livingProcessIn(files.agent);
    if (living !== null) return { node: spec.node, host: spec.host, ...living }; // L1
    const log = openSync(files.agentLog, "a", 0o600);
    let child: ChildProcess;
    try {
      child = spawn(process.execPath, [...nodeFlags, agentPath, ...argumentsOf(spec)], {
        cwd: "/",
        detached: true,
        stdio: ["ignore", log, log],
        env: { ...environmentOf(spec.jobDir), DROVER_NODE_TAG: nodeTag(spec.jobDir, spec.node) },
      });
    } finally {
      closeSync(log);
    }
    const identity = await identityOf(child);
    writeIdentity(files.agent, identity);
    this.#keep(child, identity);
    child.unref();
    return { node: spec.node, host: spec.host, ...identity };
  }

  watch(handle: AgentHandle, onEnd: (end: AgentEnd) => void): void {
    const child = this.#children.get(keyOf(handle));
    if (child === undefined) {
      this.#adopted.set(keyOf(handle), { handle, onEnd });
      this.#timer ??= setInterval(() => this.#look(), lookEveryMs).unref();
      return;
    }
    if (child.end === null) child.onEnd = onEnd;
    else {
      this.#children.delete(keyOf(handle));
      onEnd(child.end);
    }
  }

  async kill(handle: AgentHandle): Promise<void> {
    signalProcess(handle, "SIGKILL");
    await untilGone(handle, politenessMs);
  }

  async end(spec: AgentSpec, handle: AgentHandle | null, isKill: boolean): Promise<void> {
    const files = nodeFiles(spec.jobDir, spec.node);
    const agent = handle !== null && isAlive(handle) ? handle : livingProcessIn(files.agent);
    if (agent !== null && !isKill && signalProcess(agent, "SIGTERM")) await untilGone(agent, spec.graceMs + politenessMs);
    const nursery = livingProcessIn(files.nursery);
    await sweep(nodeTag(spec.jobDir, spec.node), [agent, nursery]);
  }

  async sweep(jobDir: string): Promise<void> {
    const files = nodesIn(jobDir).map((node) => nodeFiles(jobDir, node));
    await sweep(jobTag(jobDir), files.flatMap(({ agent, nursery }) => [livingProcessIn(agent), livingProcessIn(nursery)]));
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#adopted.clear();
    for (const child of this.#children.values()) child.onEnd = null;
  }

  #keep(child: ChildProcess, identity: ProcessIdentity): void {
    const entry: { end: AgentEnd | null; onEnd: ((end: AgentEnd) => void) | null } = { end: null, onEnd: null };
    this.#children.set(keyOf(identity), entry);
    const ended = (code: number | null, signal: NodeJS.Signals | null): void => {
      entry.end = { because: signal === null ? `exit code ${String(code)}` : `killed by ${signal}`, isHostGone: false };
      if (entry.onEnd === null) return;
      this.#children.delete(keyOf(identity));
      entry.onEnd(entry.end);
    };
    if (child.exitCode !== null || child.signalCode !== null) ended(child.exitCode, child.signalCode);
    else child.once("exit", ended);
  }

  #look(): void {
    for (const [key, { handle, onEnd }] of this.#adopted) {
      if (isAlive(handle)) continue;
      this.#adopted.delete(key);
      onEnd({ because: "it is gone (launched by an earlier master: how it ended is not known)", isHostGone: false });
    }
  }
}

function argumentsOf({ jobDir, node, role, masterAddress, tokenPath }: AgentSpec): string[] {
  return [jobDir, node, role, masterAddress, tokenPath];
}

/** That of the command which began the job: the master may have been started from elsewhere. */
function environmentOf(jobDir: string): NodeJS.ProcessEnv {
  return (readJson(jobFiles(jobDir).spec) as JobSpec | null)?.env ?? process.env;
}

function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid} ${startTime}`;
}

async function identityOf(child: ChildProcess): Promise<ProcessIdentity> {
  const { pid } = child;
  if (pid === undefined) {
    const error = await new Promise<Error>((resolve) => child.once("error", resolve));
    throw new Error(`the agent could not be started: ${error.message}`, { cause: error });
  }
  // A child that has ended already is still a zombie, for nobody waits for it before the next turn.
  return { pid, startTime: startTimeOf(pid) ?? "" };
}

async function untilGone(identity: ProcessIdentity, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (isAlive(identity) && performance.now() < deadlineMs) await sleep(10);
}

async function sweep(tag: string, roots: readonly (ProcessIdentity | null)[]): Promise<void> {
  await sweepProcesses(tag, roots.filter((root) => root !== null));
}
