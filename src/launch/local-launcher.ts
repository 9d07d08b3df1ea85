/**
 * Agents as processes of this machine.
 *
 * The machine is one host with what it really has; many nodes may share it (`nodesMax`), so that `--nnodes 1:4` can be tried on a
 * laptop. An agent is a session of its own, with its output in a file: it outlives whoever launched it.
 *
 * The end of an agent that this process launched is seen at once (SIGCHLD); that of an adopted one by looking at its start time every
 * `lookEveryMs`.
 */

import type { ChildProcess } from "node:child_process";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { JobSpec } from "../job/job-spec.js";
import type { HostRecord } from "../job/scale-plan.js";
import { agentArguments, agentFlags, agentPath } from "./agent-command.js";
import { askDlroverAgentToEnd, forgetMemory, startDlroverAgent } from "./dlrover-agent.js";
import { jobFiles, readJson } from "./job-folder.js";
import { nodeTag } from "./job-tag.js";
import type { AgentEnd, AgentHandle, AgentSpec, Launcher } from "./launcher.js";
import { machineResources } from "./machine.js";
import { livingProcessIn, makeNodeDirs, nodeFiles, writeIdentity } from "./node-files.js";
import { identityOf, isAlive, type ProcessIdentity, signalProcess } from "./process-identity.js";
import { sweepJob, sweepProcesses } from "./process-sweep.js";
import { socketPathFor } from "./socket-path.js";
import { takeSpare } from "./spare.js";
import { spawnApart } from "./spawn-apart.js";

const nodesMax = 10_000;
const lookEveryMs = 100;
/** How long an agent may take, beyond the grace of its ranks, to end itself. */
const politenessMs = 5_000;
/** DLRover's agent says that it has succeeded just before it ends; a signal would make it fail in that moment. */
const ownEndMs = 1_000;

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
    const job = jobOf(spec.jobDir);
    const identity = job?.agents.kind === "dlrover" ? await this.#adopt(startDlroverAgent(spec, job)) : await this.#startOwn(spec, job?.env ?? {}, files.agentLog);
    writeIdentity(files.agent, identity);
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
    const isDlrover = jobOf(spec.jobDir)?.agents.kind === "dlrover";
    if (agent !== null && isDlrover && !isKill) await untilGone(agent, ownEndMs);
    const ask = isDlrover ? askDlroverAgentToEnd : (own: ProcessIdentity) => signalProcess(own, "SIGTERM");
    if (agent !== null && !isKill && ask(agent)) await untilGone(agent, spec.graceMs + politenessMs);
    const nursery = livingProcessIn(files.nursery);
    const roots = [agent, nursery].filter((root) => root !== null);
    await sweepProcesses(nodeTag(spec.jobDir, spec.node), { roots, sockets: [socketPathFor(files.nurserySocket)] });
    if (isDlrover) forgetMemory(spec.jobDir, spec.node);
  }

  async sweep(jobDir: string): Promise<void> {
    await sweepJob(jobDir);
    forgetMemory(jobDir);
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    this.#adopted.clear();
    for (const child of this.#children.values()) child.onEnd = null;
  }

  async #startOwn(spec: AgentSpec, environment: JobSpec["env"], logPath: string): Promise<ProcessIdentity> {
    const env = { ...environment, DROVER_NODE_TAG: nodeTag(spec.jobDir, spec.node) };
    const args = agentArguments(spec);
    const spare = await takeSpare(dirname(dirname(spec.jobDir)), "agent", { args, env });
    return spare ?? this.#adopt(spawnApart([...agentFlags, agentPath, ...args], logPath, { env }));
  }

  async #adopt(child: ChildProcess): Promise<ProcessIdentity> {
    const identity = await identityOfStarted(child);
    this.#keep(child, identity);
    child.unref();
    return identity;
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
      onEnd({ because: "it is gone (no child of this master: how it ended is not known)", isHostGone: false });
    }
  }
}

/** As the command which began the job wrote it; its environment counts, for the master may have been started from elsewhere. */
function jobOf(jobDir: string): JobSpec | null {
  return readJson(jobFiles(jobDir).spec) as JobSpec | null;
}

function keyOf({ pid, startTime }: ProcessIdentity): string {
  return `${pid} ${startTime}`;
}

async function identityOfStarted(child: ChildProcess): Promise<ProcessIdentity> {
  const { pid } = child;
  if (pid === undefined) {
    const error = await new Promise<Error>((resolve) => child.once("error", resolve));
    throw new Error(`the agent could not be started: ${error.message}`, { cause: error });
  }
  // A child that has ended already is still a zombie, for nobody waits for it before the next turn.
  return identityOf(pid);
}

async function untilGone(identity: ProcessIdentity, timeoutMs: number): Promise<void> {
  const deadlineMs = performance.now() + timeoutMs;
  while (isAlive(identity) && performance.now() < deadlineMs) await sleep(10);
}

