/**
 * An agent and its nursery as the master sees them, by the rules of src/agent (level-triggered, A1 to A4), without
 * processes: one `SimNode` is what lives on a host for a node and outlives its agents, one `SimAgent` is one life of
 * its agent.
 */

import { jobManager } from "../../actors/protocol/refs.js";
import type { Assignment, NodeDesired } from "../../src/job/assignment.js";
import type { HostFacts } from "../../src/job/host-facts.js";
import type { RankProgress, RankReport } from "../../src/job/rank-report.js";
import type { SimClient } from "../../src/sim/sim-client.js";
import type { SimRank } from "./sim-training.js";
import type { SimCluster } from "./sim-cluster.js";

export type SimNode = {
  readonly id: string;
  readonly host: string;
  agent: SimAgent | null;
  hasNursery: boolean;
  readonly stores: Map<number, number>;
  /** Ranks of the newest round begun here, alive or not; older ones only while they live. */
  ranks: SimRank[];
  begunRound: number;
  /** Nothing of the node comes through the network. */
  isCut: boolean;
};

const progressMs = 400;

export class SimAgent {
  readonly node: SimNode;
  readonly agentId: string;
  readonly pid: number;
  readonly #cluster: SimCluster;
  readonly #client: SimClient;
  readonly #nproc: number;
  readonly #underWay = new Set<string>();
  readonly #probes = new Set<string>();
  #desired: NodeDesired | null = null;
  #joined = "";
  #reported = "";
  #isRegistered = false;
  isAlive = true;
  onEnd: ((because: string) => void)[] = [];

  constructor(cluster: SimCluster, node: SimNode, pid: number, nproc: number) {
    this.#cluster = cluster;
    this.node = node;
    this.pid = pid;
    this.agentId = `${node.id}-${pid}`;
    this.#nproc = nproc;
    this.#client = cluster.clientOf(node);
  }

  run(): void {
    this.#do("register", async () => {
      const ranks = this.#reports();
      const facts = this.#facts();
      const { agentId, pid } = this;
      const reply = await this.#client.ask(jobManager, {
        type: "register-agent",
        ...this.#who(),
        agentPid: pid,
        facts,
        ranks,
      });
      if (!reply.ok) {
        this.#dismissed(reply.code);
        return;
      }
      this.#reported = JSON.stringify(ranks);
      this.#isRegistered = true;
      this.#do("follow", () => this.#follow(reply.heartbeatIntervalMs));
      this.#progress();
      this.#cluster.noted(`${agentId} registered`);
    });
  }

  /** The process of the agent ends; what it led to lives on. */
  kill(because: string): void {
    if (!this.isAlive) return;
    this.isAlive = false;
    this.#client.isAlive = false;
    if (this.node.agent === this) this.node.agent = null;
    if (!this.node.isCut) this.#cluster.disconnected(this.node.id, this.agentId);
    for (const hear of this.onEnd) hear(because);
  }

  /** The ranks are not what they were. */
  look(): void {
    this.#cluster.soon(() => {
      if (!this.isAlive) return;
      this.#report();
      this.#act();
    });
  }

  async #follow(waitMs: number): Promise<void> {
    let revision = -1;
    while (this.isAlive) {
      const poll = { type: "await-desired", ...this.#who(), revision, waitMs } as const;
      const reply = await this.#client.ask(jobManager, poll, { waitMs });
      if (!reply.ok) {
        this.#dismissed(reply.code);
        return;
      }
      revision = reply.desired.revision;
      this.#cluster.desired(this.node.id, reply.desired);
      this.#desired = reply.desired;
      for (const { id } of reply.desired.probes) this.#probe(id);
      this.look();
    }
  }

  #dismissed(code: string): void {
    if (code === "UNKNOWN_NODE") this.#cluster.endRanks(this.node, () => true, 0);
    this.kill(`the master said ${code}`);
  }

  #act(): void {
    const desired = this.#desired;
    if (desired === null) return;
    const { round, graceMs, assignment } = desired;
    if (!this.node.hasNursery && desired.phase !== "wait") {
      return this.#do("nursery", async () => {
        await this.#cluster.sleep(5, 60);
        if (this.isAlive) this.node.hasNursery = true;
      });
    }
    switch (desired.phase) {
      case "wait":
        return;
      case "join":
        return this.#join(round, graceMs);
      case "run":
        if (assignment !== null) this.#runRound(assignment, graceMs);
        return;
      case "stop":
        this.#cluster.endRanks(this.node, () => true, graceMs);
        return;
      case "exit":
        if (!this.#cluster.endRanks(this.node, () => true, graceMs)) return;
        this.#do("leave", async () => {
          await this.#cluster.sleep(1, 50);
          this.node.hasNursery = false;
          this.kill("it was told to");
        });
    }
  }

  #join(round: number, graceMs: number): void {
    const { node } = this;
    const areOldGone = this.#cluster.endRanks(node, (rank) => rank.round !== round, graceMs); // A1
    const port = node.stores.get(round);
    if (port === undefined) {
      return this.#do(`store ${round}`, async () => {
        await this.#cluster.sleep(1, 10);
        if (this.isAlive && node.hasNursery) node.stores.set(round, this.#cluster.newPort());
      });
    }
    const join = `${round} ${port}`;
    if (!areOldGone || this.#joined === join) return;
    this.#do(`join ${join}`, async () => {
      const store = { storeHost: node.host, storePort: port };
      const asked = { type: "join-round", ...this.#who(), round, nproc: this.#nproc, ...store } as const;
      const reply = await this.#client.ask(jobManager, asked);
      if (reply.ok) this.#joined = join;
      else this.#dismissed(reply.code);
    });
  }

  #runRound(assignment: Assignment, graceMs: number): void {
    const { node } = this;
    const { round } = assignment;
    if (!this.#cluster.endRanks(node, (rank) => rank.round !== round, graceMs)) return; // A1
    if (node.begunRound >= round) return; // A2
    node.begunRound = round;
    node.ranks = [];
    for (const old of node.stores.keys()) if (old !== round) node.stores.delete(old);
    this.#cluster.beginRanks(node, assignment);
    this.look();
  }

  #probe(id: string): void {
    if (this.#probes.has(id)) return;
    this.#probes.add(id);
    this.#do(`probe ${id}`, async () => {
      const text = this.node.ranks
        .map(({ rank, pid }) => `rank ${rank}, process ${pid}\n  all_reduce (train.py:9)`)
        .join("\n");
      await this.#client.ask(jobManager, { type: "report-probe", ...this.#who(), probe: id, text });
    });
  }

  /** Tells how the ranks are, until that is known. */
  #report(): void {
    if (!this.#isRegistered) return;
    const ranks = this.#reports();
    const text = JSON.stringify(ranks);
    if (text === this.#reported) return;
    this.#do("report", async () => {
      const reply = await this.#client.ask(jobManager, { type: "report-ranks", ...this.#who(), ranks });
      if (reply.ok) this.#reported = text;
      else this.#dismissed(reply.code);
    });
  }

  #progress(): void {
    this.#cluster.later(progressMs, () => {
      if (!this.isAlive) return;
      const ranks = this.node.ranks.filter(({ end }) => end === null).map(progressOf);
      if (ranks.length > 0 && !this.#underWay.has("progress")) {
        this.#do("progress", async () => {
          await this.#client.ask(jobManager, { type: "report-progress", ...this.#who(), ranks });
        });
      }
      this.#progress();
    });
  }

  #reports(): RankReport[] {
    return this.node.ranks.filter(({ round }) => round === this.node.begunRound).map(reportOf);
  }

  #who(): Readonly<{ node: string; agentId: string }> {
    return { node: this.node.id, agentId: this.agentId };
  }

  #facts(): HostFacts {
    const gib = 2 ** 30;
    const { host } = this.node;
    const size = {
      cpus: 2,
      memoryBytes: 8 * gib,
      gpus: 0,
      diskFreeBytes: 50 * gib,
      sharedMemoryBytes: gib,
      openFilesMax: 4_096,
    };
    const clockMs = this.#cluster.nowMs();
    return {
      host,
      address: host,
      ...size,
      pythonVersion: "3.11.0",
      entrypointProblem: null,
      clockMs,
      canBindPorts: true,
    };
  }

  #do(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name) || !this.isAlive) return;
    this.#underWay.add(name);
    work().then(
      () => {
        this.#underWay.delete(name);
        this.look();
      },
      (thrown: unknown) => this.#cluster.failed(thrown),
    );
  }
}

function reportOf({ token, localRank, round, pid, end }: SimRank): RankReport {
  const about = { token, localRank, round, pid };
  if (end === null) {
    return {
      ...about,
      state: "running",
      exitCode: null,
      signal: null,
      isOutOfMemory: false,
      errorText: "",
      exitedAtMs: null,
    };
  }
  const { exitCode, signal, errorText, atMs } = end;
  return { ...about, state: "exited", exitCode, signal, isOutOfMemory: false, errorText, exitedAtMs: atMs };
}

function progressOf({ rank, localRank, round, step }: SimRank): RankProgress {
  const gauges = { loss: 1, samples: null, checkpointStep: null, cpuCores: 1, memoryBytes: 0, atMs: 0 };
  return { rank, localRank, round, step, ...gauges };
}
