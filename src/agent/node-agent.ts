/**
 * The agent of one node: makes what runs there what the master wants it to be.
 *
 * It looks at the newest desired state and at what there is, and begins whatever is missing and not under way (`#act`); every change of
 * either makes it look again. Messages may thus be lost, doubled or late. Ranks are children of the nursery: the agent may die at any
 * moment, and the next one goes on from the nursery's and the ledger's account.
 *
 * - A1  Ranks of two rounds never run at once on a node; a round is joined only when the ranks of all others are gone.
 * - A2  A rank is started at most once in a round, whatever died in between (Y1, K2).
 * - A3  While the master is away nothing happens to the ranks.
 * - A4  An agent that was replaced leaves without touching anything.
 * - A5  An agent that finds not even a nursery reports no ranks: its node has lost everything, which is more than a failure of ranks.
 * - A6  Who was asked to join a round and is ready only after it was sealed joins all the same: it stands by, and the world grows by it.
 */

import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Assignment, NodeDesired } from "../job/assignment.js";
import type { JobSpec, Role, RoleSpec } from "../job/job-spec.js";
import type { RankReport } from "../job/rank-report.js";
import { nodeTag, rankToken } from "../launch/job-tag.js";
import { type NodeFiles, writeIdentity } from "../launch/node-files.js";
import { isAlive, signalProcess } from "../launch/process-identity.js";
import { hintsPath, zygoteWish, type ZygoteWish } from "../launch/zygote.js";
import { socketPathFor } from "../launch/socket-path.js";
import { gatherFacts } from "./host-facts.js";
import { MasterLink } from "./master-link.js";
import type { Nursery, NurseryRank, NurseryState } from "./nursery.js";
import { findPython, NurseryStarter, type OpenNursery } from "./nursery-start.js";
import { RankBook } from "./rank-book.js";
import { rankEnvironment } from "./rank-environment.js";
import { type LedgerRank, readLedger, type RoundLedger, writeLedger } from "./rank-ledger.js";
import { RankMonitor } from "./rank-monitor.js";
import { collectStacks } from "./stacks.js";
import { StateReporter } from "./state-reporter.js";

export type AgentOptions = Readonly<{
  jobDir: string;
  node: string;
  role: Role;
  files: NodeFiles;
  /** Where zygotes are found. */
  home: string;
  masterAddress: string;
  tokenPath: string;
  agentId: string;
  /** As the job's folder has it; the master's answer to `register` says the same. */
  spec: JobSpec;
  log: (text: string) => void;
}>;

/** The last report of an agent that ends is waited for no longer than this; the second is for a master that is away. */
const farewellMs = 3_000;
const farewellAwayMs = 300;
/** How often an ending nursery is looked for, 5 ms apart. */
const nurseryLooksMax = 200;
/** What failed is tried again after this. */
const retryMs = 250;

type Goal = Pick<NodeDesired, "phase" | "round" | "assignment" | "graceMs">;

export class NodeAgent {
  readonly #options: AgentOptions;
  readonly #link: MasterLink;
  readonly #book: RankBook;
  readonly #reporter: StateReporter;
  readonly #monitor: RankMonitor;
  readonly #starter: NurseryStarter;
  readonly #zygote: ZygoteWish | null;
  readonly #finished: Promise<number>;
  #finish: (exitCode: number) => void = () => undefined;
  #isFinished = false;

  readonly #role: RoleSpec;
  #nodeRank = 0;
  #desired: NodeDesired | null = null;
  /** What stands above the master's wish: the end. */
  #forced: Goal | null = null;
  #nursery: Nursery | null = null;
  #nurseryState: NurseryState | null = null;
  #ledger: RoundLedger | null;
  /** The round whose ranks died together with their nursery and the agent before this one: of them nothing is reported. */
  #emptiedRound: number | null = null;
  /** The newest round that it was asked to join. */
  #invitedRound = 0;
  #joined: { round: number; port: number } | null = null;
  readonly #stores = new Map<number, { host: string; port: number }>();
  readonly #underWay = new Set<string>();
  /** By token: when SIGKILL is due, so that a stop is asked for again only to shorten it. */
  readonly #stops = new Map<string, number>();
  readonly #probes = new Set<string>();
  #isActing = false;

  constructor(options: AgentOptions) {
    const { spec, files, home, jobDir, node } = options;
    this.#options = options;
    this.#role = roleOf(spec, options.role);
    this.#ledger = readLedger(files.ranks);
    this.#book = new RankBook(spec.logs.dir, files);
    this.#link = new MasterLink(options, {
      onDesired: (desired) => this.#wish(desired),
      onGone: (code, message) => this.#dismissed(code, message),
    });
    this.#reporter = new StateReporter(() => this.#reports(), (ranks) => this.#link.reportRanks(ranks));
    this.#monitor = new RankMonitor(
      spec.logs,
      spec.heartbeat.intervalMs,
      (ranks) => this.#link.reportProgress(ranks),
      (problem) => options.log(problem),
    );
    this.#zygote = zygoteWish(home, spec, this.#role);
    const python = this.#role.entrypoint.python;
    this.#starter = new NurseryStarter(
      {
        socketPath: socketPathFor(files.nurserySocket),
        logPath: files.nurseryLog,
        tokenPrefix: nodeTag(jobDir, node),
        zygote: this.#zygote,
        python: python === "" ? findPython(spec.env["PATH"] ?? process.env["PATH"] ?? "/usr/bin:/bin") : python,
      },
      {
        onExit: (rank) => this.#rankExited(rank),
        onLost: (isReplaced) => this.#nurseryLost(isReplaced),
        note: options.log,
      },
    );
    this.#finished = new Promise((resolve) => (this.#finish = resolve));
  }

  /** Until the node's end, or this agent's. Gives the exit code. */
  async run(): Promise<number> {
    const opened = await this.#starter.adopt();
    if (opened !== null) this.#took(opened);
    if (this.#ledger !== null) this.#book.loseMissing(this.#ledger, this.#nurseryState, Date.now());
    if (opened === null) this.#emptiedRound = this.#ledger?.assignment.round ?? null; // A5
    this.#changed();
    // The nursery, or at least its zygote, comes up while the master is asked.
    if (this.#nursery === null) this.#do("nursery", () => this.#openNursery());
    this.#do("register", () => this.#register());
    const exitCode = await this.#finished;
    this.#isFinished = true;
    this.#monitor.close();
    this.#link.close();
    this.#nursery?.close();
    this.#starter.close();
    return exitCode;
  }

  async #register(): Promise<void> {
    const { spec } = this.#options;
    const facts = await gatherFacts(spec, this.#role.entrypoint, this.#link.localAddress);
    const ranks = this.#reports();
    const registered = await this.#link.register(facts, ranks);
    if (registered === null) return;
    this.#nodeRank = registered.nodeRank;
    this.#reporter.acknowledge(ranks);
    void this.#reporter.tell();
    void this.#link.follow(registered.heartbeatIntervalMs);
  }

  /** Ends the ranks with the grace of the job, then the nursery and itself, whatever the master says. */
  end(because: string): void {
    this.#force({ phase: "exit", round: 0, assignment: null, graceMs: this.#options.spec.stopGraceMs }, because);
  }

  #force(goal: Goal, because: string): void {
    this.#options.log(`ends: ${because}`);
    this.#forced = goal;
    this.#look();
  }

  #wish(desired: NodeDesired): void {
    if (this.#desired?.revision !== desired.revision) {
      this.#options.log(`is to ${desired.phase} (round ${desired.round}, revision ${desired.revision})`);
    }
    this.#desired = desired;
    for (const probe of desired.probes) this.#probe(probe.id);
    for (const id of this.#probes) if (!desired.probes.some((probe) => probe.id === id)) this.#probes.delete(id);
    this.#look();
  }

  #dismissed(code: string, message: string): void {
    if (code === "UNKNOWN_NODE") this.end(message);
    else {
      this.#options.log(`leaves: ${message}`);
      this.#finish(0); // A4
    }
  }

  /** Looks again, once this turn is over. */
  #look(): void {
    if (this.#isActing || this.#isFinished) return;
    this.#isActing = true;
    queueMicrotask(() => {
      this.#isActing = false;
      this.#act();
    });
  }

  #act(): void {
    const goal = this.#forced ?? this.#desired;
    if (goal === null || this.#isFinished) return;
    switch (goal.phase) {
      case "wait":
        if (goal.round === this.#invitedRound) this.#join(goal); // A6
        break;
      case "join":
        this.#invitedRound = goal.round;
        this.#join(goal);
        break;
      case "run":
        if (goal.assignment !== null) this.#runRound(goal.assignment, goal.graceMs);
        break;
      case "stop":
        this.#stopRanks(() => true, goal.graceMs);
        break;
      case "exit":
        this.#leave(goal.graceMs);
        break;
    }
  }

  #join({ round, graceMs }: Goal): void {
    const nursery = this.#nursery;
    if (nursery === null) {
      this.#do("nursery", () => this.#openNursery());
      return;
    }
    const areOldGone = this.#stopRanks((rank) => rank.round !== round, graceMs);
    const store = this.#stores.get(round);
    if (store === undefined) {
      this.#do(`store ${round}`, async () => {
        const opened = await nursery.openStore(round, this.#link.localAddress);
        if (this.#nursery === nursery) this.#stores.set(round, opened);
      });
      return;
    }
    const isJoined = this.#joined?.round === round && this.#joined.port === store.port;
    if (!areOldGone || isJoined) return; // A1
    this.#do(`join ${round} ${store.port}`, async () => {
      const { port } = store;
      const isWanted = (): boolean => (this.#goalRound("join") ?? this.#goalRound("wait")) === round && this.#stores.get(round)?.port === port;
      const isTaken = await this.#link.join(round, this.#role.nprocPerNode, store.host, port, isWanted);
      if (isTaken) this.#joined = { round, port };
    });
  }

  #runRound(assignment: Assignment, graceMs: number): void {
    const { round, groupRank } = assignment;
    if (this.#nursery === null) {
      this.#do("nursery", () => this.#openNursery());
      return;
    }
    if (!this.#stopRanks((rank) => rank.round !== round, graceMs)) return; // A1
    if (this.#ledger?.assignment.round === round) {
      this.#startRanks(this.#ledger); // What an earlier agent did not come to (A2).
      return;
    }
    this.#begin(assignment);
    if (groupRank === 0 && !this.#stores.has(round)) this.#loseRound("the store of the round died with its nursery before the round began");
    else if (this.#ledger !== null) this.#startRanks(this.#ledger);
  }

  /** Writes down what is about to run, and clears away what was. */
  #begin(assignment: Assignment): void {
    const { jobDir, node, files, spec } = this.#options;
    const { round, firstRank, nproc } = assignment;
    const ranks = Array.from({ length: nproc }, (_, localRank) => ({
      token: rankToken(jobDir, node, round, localRank),
      rank: firstRank + localRank,
      localRank,
      pid: 0,
    }));
    if (this.#nurseryState === null) throw new Error("a round begins without a nursery");
    this.#ledger = { assignment, nursery: this.#nurseryState.identity, ranks };
    writeLedger(files.ranks, this.#ledger); // Y1
    for (const token of this.#book.forgetBut(round)) this.#do(`forget ${token}`, async () => this.#nursery?.forgetRank(token));
    for (const old of [...this.#stores.keys()].filter((number) => number !== round)) {
      this.#stores.delete(old);
      this.#do(`close store ${old}`, async () => this.#nursery?.closeStore(old));
    }
    for (const dir of [files.progressDir, files.errorsDir]) for (const name of readdirSync(dir)) rmSync(join(dir, name), { force: true });
    mkdirSync(join(spec.logs.dir, String(round)), { recursive: true });
  }

  /** Starts those ranks of the round that were never started. */
  #startRanks(ledger: RoundLedger): void {
    const nursery = this.#nursery;
    if (nursery === null) return;
    const { round } = ledger.assignment;
    const missing = ledger.ranks.filter(({ token }) => !this.#book.has(token));
    if (missing.length === 0) return;
    this.#do(`start ${round}`, async () => {
      const pids = await Promise.all(missing.map(async (rank) => [rank.token, await this.#startRank(nursery, ledger, rank)] as const));
      const pidOf = new Map(pids);
      this.#ledger = { ...ledger, ranks: ledger.ranks.map((rank) => ({ ...rank, pid: pidOf.get(rank.token) ?? rank.pid })) };
      writeLedger(this.#options.files.ranks, this.#ledger);
      this.#changed();
    });
  }

  async #startRank(nursery: Nursery, { assignment }: RoundLedger, rank: LedgerRank): Promise<number> {
    const { round } = assignment;
    const { spec, node, masterAddress, tokenPath } = this.#options;
    const files = this.#book.filesOf({ round, rank: rank.rank, localRank: rank.localRank });
    const place = { spec, role: this.#role, node, nodeRank: this.#nodeRank, assignment, localRank: rank.localRank, masterAddress, tokenPath };
    const paths = { progressPath: files.progress, errorPath: files.error, rankToken: rank.token };
    try {
      const started = await nursery.startRank({
        token: rank.token,
        rank: rank.rank,
        localRank: rank.localRank,
        round,
        program: this.#role.entrypoint,
        env: rankEnvironment({ ...place, ...paths }),
        cwd: spec.cwd,
        stdoutPath: files.stdout,
        stderrPath: files.stderr,
        hintsPath: this.#zygote === null ? null : hintsPath(this.#zygote),
      });
      const how = started.isWarm ? "warm" : `cold: ${started.whyCold ?? "the nursery is"}`;
      this.#options.log(`rank ${rank.rank} of round ${round} is process ${started.pid} (${how})`);
      this.#book.started(round, { ...rank, pid: started.pid }, started.startTime);
      return started.pid;
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      this.#options.log(`rank ${rank.rank} of round ${round} did not start: ${because}`);
      // A nursery that was lost takes its ranks along; `#nurseryLost` has said so of this one.
      if (this.#nursery === nursery) this.#book.lost(round, rank, { exitCode: 127, because }, Date.now());
      return 0;
    }
  }

  #loseRound(because: string): void {
    if (this.#ledger === null) return;
    for (const rank of this.#ledger.ranks) this.#book.lost(this.#ledger.assignment.round, rank, { exitCode: null, because }, Date.now());
    this.#changed();
  }

  /** True when no rank that `isMeant` lives any more; else sees to its end. */
  #stopRanks(isMeant: (rank: { round: number }) => boolean, graceMs: number): boolean {
    const living = this.#book.living.filter(isMeant);
    if (living.length === 0) return ![...this.#underWay].some((name) => name.startsWith("stop "));
    const killAtMs = Date.now() + graceMs;
    const tokens = living.map(({ token }) => token).filter((token) => (this.#stops.get(token) ?? Infinity) > killAtMs);
    const nursery = this.#nursery;
    if (tokens.length === 0 || nursery === null) return false;
    for (const token of tokens) this.#stops.set(token, killAtMs);
    this.#do(`stop ${tokens.join(" ")} ${killAtMs}`, () => nursery.stopRanks(tokens, graceMs));
    return false;
  }

  #leave(graceMs: number): void {
    if (!this.#stopRanks(() => true, graceMs) || this.#underWay.has("nursery")) return;
    this.#do("leave", async () => {
      await Promise.race([this.#reporter.tell(), sleep(this.#link.isReachable ? farewellMs : farewellAwayMs)]);
      await this.#endNursery();
      rmSync(this.#options.files.nursery, { force: true });
      this.#finish(0);
    });
  }

  // The nursery

  async #endNursery(): Promise<void> {
    const identity = this.#nurseryState?.identity;
    try {
      await this.#nursery?.exit();
      for (let looks = 0; identity && isAlive(identity) && looks < nurseryLooksMax; looks++) await sleep(5);
    } catch (error) {
      this.#options.log(`its nursery did not end: ${error instanceof Error ? error.message : String(error)}`);
      if (identity) signalProcess(identity, "SIGKILL");
    }
  }

  async #openNursery(): Promise<void> {
    const opened = await this.#starter.open();
    this.#took(opened);
    if (this.#ledger !== null) this.#book.loseMissing(this.#ledger, opened.state, Date.now());
    this.#changed();
  }

  #took({ nursery, state }: OpenNursery): void {
    this.#nursery = nursery;
    this.#nurseryState = state;
    writeIdentity(this.#options.files.nursery, state.identity);
    this.#book.adopt(state);
    for (const { round, host, port } of state.stores) this.#stores.set(round, { host, port });
    this.#options.log(`has the ${state.mode} nursery ${state.identity.pid} with ${state.ranks.length} ranks`);
    if (this.#zygote !== null && state.mode === "warm") void this.#starter.prepare();
  }

  #nurseryLost(isReplaced: boolean): void {
    if (this.#isFinished || this.#underWay.has("leave")) return;
    if (isReplaced) {
      this.#dismissed("STALE_AGENT", "another agent has taken the nursery over");
      return;
    }
    const pid = this.#nurseryState?.identity.pid ?? 0;
    this.#options.log(`its nursery ${pid} died`);
    this.#nursery = null;
    this.#nurseryState = null;
    this.#joined = null;
    this.#stores.clear();
    const because = `its nursery, process ${pid}, died, and it with it`;
    for (const rank of this.#book.living) this.#book.lost(rank.round, rank, { exitCode: null, because }, Date.now());
    if (this.#ledger !== null && this.#underWay.has(`start ${this.#ledger.assignment.round}`)) this.#loseRound(because);
    this.#stops.clear();
    this.#changed();
    this.#do("nursery", () => this.#openNursery());
  }

  #rankExited(rank: NurseryRank): void {
    if (rank.exit !== null && this.#book.exited(rank, rank.exit)) {
      const how = rank.exit.signal ?? `exit code ${String(rank.exit.exitCode)}`;
      this.#options.log(`rank ${rank.rank} of round ${rank.round}, process ${rank.pid}, ended: ${how}`);
    }
    this.#stops.delete(rank.token);
    this.#changed();
  }

  #reports(): RankReport[] {
    return this.#book.reports().filter(({ round }) => round !== this.#emptiedRound);
  }

  /** The ranks are not what they were: the master is told, and whatever waited for it goes on. */
  #changed(): void {
    void this.#reporter.tell();
    this.#monitor.follow(this.#book.living);
    this.#look();
  }

  #probe(id: string): void {
    if (this.#probes.has(id)) return;
    this.#probes.add(id);
    this.#do(`probe ${id}`, async () => {
      const { spec } = this.#options;
      const text = await collectStacks(this.#book.living, this.#role.entrypoint.python, spec.env["PATH"] ?? process.env["PATH"] ?? "");
      await this.#link.reportProbe(id, text);
    });
  }

  #goalRound(phase: NodeDesired["phase"]): number | null {
    const goal = this.#forced ?? this.#desired;
    return goal?.phase === phase ? goal.round : null;
  }

  /** Begins work unless work of this name is under way; looks again when it is done, a little later if it failed. */
  #do(name: string, work: () => Promise<void>): void {
    if (this.#underWay.has(name) || this.#isFinished) return;
    this.#underWay.add(name);
    const nursery = this.#nursery;
    work()
      .catch(async (error: unknown) => {
        if (this.#nursery !== nursery || this.#isFinished) return; // It was lost, and that has been seen to.
        this.#options.log(`${name}: ${error instanceof Error ? error.message : String(error)}`);
        await sleep(retryMs);
      })
      .finally(() => {
        this.#underWay.delete(name);
        this.#look();
      });
  }
}

function roleOf(spec: JobSpec, role: Role): RoleSpec {
  const found = spec.roles.find((one) => one.role === role);
  if (found === undefined) throw new Error(`the job has no role ${role}`);
  return found;
}
