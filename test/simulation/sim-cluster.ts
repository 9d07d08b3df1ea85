/** Hosts, what lives on them, and the launcher by which the Scheduler reaches them. */

import { jobManager } from "../../actors/protocol/refs.js";
import type { Assignment, NodeDesired } from "../../src/job/assignment.js";
import type { HostRecord } from "../../src/job/scale-plan.js";
import type { AgentHandle, AgentSpec } from "../../src/launch/launcher.js";
import type { LauncherCommand, LauncherReport } from "../../src/launch/launcher-port.js";
import type { ActorPort, PortContext } from "../../src/runtime/actor.js";
import { type NetworkFaults, SimClient } from "../../src/sim/sim-client.js";
import type { SimSystem } from "../../src/sim/sim-system.js";
import type { JobOracle } from "./job-oracle.js";
import { SimAgent, type SimNode } from "./sim-agent.js";
import { type SimRank, SimTraining } from "./sim-training.js";

export type ClusterOptions = Readonly<{
  hosts: number;
  nproc: number;
  steps: number;
  network: () => NetworkFaults;
  oracle: JobOracle;
}>;

type Port = Readonly<{ tell: (report: LauncherReport) => void }>;

export class SimCluster {
  readonly training: SimTraining;
  readonly #system: SimSystem;
  readonly #options: ClusterOptions;
  readonly #hosts = new Map<string, { isUp: boolean }>();
  readonly #nodes = new Map<string, SimNode>();
  #port: Port | null = null;
  #ids = 1_000;

  constructor(system: SimSystem, options: ClusterOptions) {
    this.#system = system;
    this.#options = options;
    this.training = new SimTraining(system, options.steps, (node) => options.oracle.ended.has(node));
    for (let host = 0; host < options.hosts; host++) this.#hosts.set(`h${host}`, { isUp: true });
  }

  /** Agents and ranks that live. */
  get processes(): number {
    return this.nodes.reduce(
      (sum, { agent, ranks }) => sum + (agent === null ? 0 : 1) + ranks.filter(isLiving).length,
      0,
    );
  }

  get nodes(): SimNode[] {
    return [...this.#nodes.values()];
  }

  get hosts(): string[] {
    return [...this.#hosts.keys()];
  }

  // ── the launcher

  openPort(context: PortContext<LauncherReport>): ActorPort<LauncherCommand> {
    const port: Port = { tell: (report) => context.tell(context.self, report) };
    this.#port = port;
    return { perform: (command) => this.#perform(port, command), close: () => Promise.resolve() };
  }

  #perform(port: Port, command: LauncherCommand): void {
    const { random, clock } = this.#system;
    switch (command.type) {
      case "discover-hosts":
        clock.setTimer(random.between(0, 5), () => port.tell({ type: "hosts-changed", hosts: this.#records() }));
        return;
      case "launch-agent":
        clock.setTimer(random.between(5, 100), () => this.#launch(port, command.spec, command.replace));
        return;
      case "watch-agent":
        return this.#watch(port, command.handle);
      case "end-node":
        clock.setTimer(random.between(1, command.isKill ? 20 : 500), () => {
          this.#wipe(command.spec.node, "it was ended");
          port.tell({ type: "node-ended", node: command.spec.node, problem: null });
        });
        return;
      case "sweep-hosts":
        clock.setTimer(random.between(1, 50), () => {
          for (const { id } of this.nodes) this.#wipe(id, "it was swept away");
          port.tell({ type: "hosts-swept", problem: null });
        });
    }
  }

  #launch(port: Port, spec: AgentSpec, replace: AgentHandle | null): void {
    if (this.#hosts.get(spec.host)?.isUp !== true) {
      return port.tell({ type: "agent-start-failed", node: spec.node, because: `${spec.host} is down` });
    }
    const known = this.#nodes.get(spec.node);
    const node = known ?? newNode(spec.node, spec.host);
    this.#nodes.set(spec.node, node);
    if (node.agent?.pid === replace?.pid) node.agent?.kill("it was replaced");
    if (node.agent === null) {
      node.agent = new SimAgent(this, node, ++this.#ids, this.#options.nproc);
      node.agent.run();
    }
    const { pid } = node.agent;
    port.tell({ type: "agent-started", node: spec.node, pid, startTime: String(pid) });
    this.#watch(port, { node: spec.node, host: spec.host, pid, startTime: String(pid) });
  }

  #watch(port: Port, { node, pid, startTime }: AgentHandle): void {
    const tell = (because: string): void => {
      const isHostGone = this.#hosts.get(this.#nodes.get(node)?.host ?? "")?.isUp === false;
      this.later(this.#system.random.between(0, 30), () => {
        port.tell({ type: "agent-ended", node, pid, startTime, because, isHostGone });
      });
    };
    const agent = this.#nodes.get(node)?.agent;
    if (agent?.pid === pid) agent.onEnd.push(tell);
    else tell("it had ended");
  }

  #records(): HostRecord[] {
    const total = { cpu: 16, memoryBytes: 2 ** 36, gpu: 0, custom: {} };
    return [...this.#hosts].map(([host, { isUp }]) => ({ host, address: host, total, nodesMax: 100, isUp }));
  }

  // ── what fails

  killRank(pick: number): void {
    const living = this.nodes.flatMap(({ ranks }) => ranks.filter(isLiving));
    const rank = living[pick % Math.max(1, living.length)];
    if (rank === undefined) return;
    const way = this.#system.random.between(0, 9);
    if (way === 0) this.training.end(rank, 1, null, "Traceback (most recent call last):\nMemoryError: no room");
    else if (way === 1) this.training.end(rank, 201, null, "");
    else this.training.end(rank, null, "SIGKILL", "");
  }

  killAgent(pick: number): void {
    const node = this.nodes[pick % Math.max(1, this.nodes.length)];
    node?.agent?.kill("SIGKILL");
  }

  killNursery(pick: number): void {
    const node = this.nodes[pick % Math.max(1, this.nodes.length)];
    if (node === undefined) return;
    this.#loseNursery(node);
    if (this.#system.random.chance(0.3)) node.agent?.kill("SIGKILL");
    node.agent?.look();
  }

  /** A host dies with all that is on it, and comes back empty. */
  killHost(pick: number): void {
    const name = this.hosts[pick % this.hosts.length] ?? "";
    const host = this.#hosts.get(name);
    if (host?.isUp !== true) return;
    host.isUp = false;
    for (const node of this.nodes.filter((one) => one.host === name)) this.#wipe(node.id, "its host died");
    this.#port?.tell({ type: "hosts-changed", hosts: this.#records() });
    this.later(this.#system.random.between(500, 5_000), () => {
      host.isUp = true;
      this.#port?.tell({ type: "hosts-changed", hosts: this.#records() });
    });
  }

  /** A node's network is cut for a while: shorter or longer than its heartbeat. */
  cut(pick: number): void {
    const node = this.nodes[pick % Math.max(1, this.nodes.length)];
    if (node === undefined) return;
    node.isCut = true;
    this.later(this.#system.random.between(100, 8_000), () => (node.isCut = false));
  }

  #wipe(id: string, because: string): void {
    const node = this.#nodes.get(id);
    if (node === undefined) return;
    this.#loseNursery(node);
    const { agent } = node;
    node.agent = null;
    agent?.kill(because);
    if (this.#nodes.get(id) === node) this.#nodes.delete(id);
  }

  #loseNursery(node: SimNode): void {
    node.hasNursery = false;
    node.stores.clear();
    for (const rank of node.ranks) this.training.end(rank, null, "SIGKILL", "its nursery died, and it with it");
  }

  // ── what agents need

  clientOf(node: SimNode): SimClient {
    const cut: NetworkFaults = { delayMsMax: 1, lossChance: 1, doubleChance: 0 };
    return new SimClient(this.#system, () => (node.isCut ? cut : this.#options.network()));
  }

  /** True when none of these ranks lives any more; else sees to their end. */
  endRanks(node: SimNode, isMeant: (rank: SimRank) => boolean, graceMs: number): boolean {
    const living = node.ranks.filter(isLiving).filter(isMeant);
    for (const rank of living) {
      this.later(this.#system.random.between(0, Math.min(graceMs, 400)), () =>
        this.training.end(rank, null, "SIGTERM", ""),
      );
    }
    return living.length === 0;
  }

  beginRanks(node: SimNode, assignment: Assignment): void {
    const { round, firstRank, nproc, worldSize } = assignment;
    for (const other of node.ranks)
      if (isLiving(other)) throw new Error(`${node.id} begins ${round} and runs ${other.round}`);
    for (let localRank = 0; localRank < nproc; localRank++) {
      const token = `${node.id}/${round}.${localRank}`;
      const about = { token, node: node.id, rank: firstRank + localRank, localRank, round, pid: ++this.#ids };
      const rank: SimRank = { ...about, step: null, end: null, onEnd: () => node.agent?.look() };
      node.ranks.push(rank);
      this.later(this.#system.random.between(10, 200), () => {
        if (rank.end !== null) return;
        if (this.#hasStore(assignment)) this.training.begin(rank, worldSize);
        else this.training.end(rank, 1, null, "RuntimeError: Connection refused");
      });
    }
  }

  #hasStore({ round, masterAddr, masterPort }: Assignment): boolean {
    return this.nodes.some(({ host, stores }) => host === masterAddr && stores.get(round) === masterPort);
  }

  desired(node: string, desired: NodeDesired): void {
    this.#system.check(() => this.#options.oracle.desired(node, desired));
  }

  disconnected(node: string, agentId: string): void {
    this.later(this.#system.random.between(0, 5), () => {
      this.#system.tell(jobManager.id, { type: "agent-disconnected", node, agentId } as never);
    });
  }

  failed(thrown: unknown): void {
    this.#system.check(() => {
      throw thrown instanceof Error ? thrown : new Error(String(thrown));
    });
  }

  noted(text: string): void {
    this.#options.oracle.note(text);
  }

  newPort(): number {
    return ++this.#ids;
  }

  nowMs(): number {
    return this.#system.clock.now();
  }

  soon(call: () => void): void {
    this.later(0, call);
  }

  later(delayMs: number, call: () => void): void {
    this.#system.clock.setTimer(delayMs, () => this.#system.check(call));
  }

  sleep(least: number, most: number): Promise<void> {
    return this.#system.clock.sleep(this.#system.random.between(least, most));
  }
}

function newNode(id: string, host: string): SimNode {
  return { id, host, agent: null, hasNursery: false, stores: new Map(), ranks: [], begunRound: 0, isCut: false };
}

function isLiving({ end }: SimRank): boolean {
  return end === null;
}
