/**
 * What the agent knows of its ranks: the living, and how the others ended. The source of every report to the master.
 *
 * - K1  An end is noted once; what comes later about the same rank changes nothing.
 * - K2  Ranks of a round that the nursery does not know, though they were begun, were lost with an earlier nursery.
 */

import type { RankReport } from "../job/rank-report.js";
import type { NodeFiles } from "../launch/node-files.js";
import type { NurseryRank, NurseryState, RankExit } from "./nursery.js";
import { errorTextOf, kernelOomKills, saysOutOfMemory } from "./rank-error.js";
import { type RankFiles, rankFiles } from "./rank-files.js";
import type { LedgerRank, RoundLedger } from "./rank-ledger.js";

export type KnownRank = Readonly<{
  token: string;
  rank: number;
  localRank: number;
  round: number;
  pid: number;
  startTime: string;
  files: RankFiles;
  /** Null while it lives. */
  end: RankEnd | null;
}>;

export type RankEnd = Readonly<{ exitCode: number | null; signal: string | null; isOutOfMemory: boolean; errorText: string; atMs: number }>;

export class RankBook {
  readonly #ranks = new Map<string, KnownRank>();
  readonly #logsDir: string;
  readonly #files: NodeFiles;
  #oomKills = kernelOomKills();

  constructor(logsDir: string, files: NodeFiles) {
    this.#logsDir = logsDir;
    this.#files = files;
  }

  get living(): KnownRank[] {
    return [...this.#ranks.values()].filter(({ end }) => end === null);
  }

  has(token: string): boolean {
    return this.#ranks.has(token);
  }

  filesOf(place: Readonly<{ round: number; rank: number; localRank: number }>): RankFiles {
    return rankFiles(this.#logsDir, this.#files, place);
  }

  /** A rank that was just started. Its end may have been told already (K1). */
  started(round: number, { token, rank, localRank, pid }: LedgerRank, startTime: string): void {
    if (!this.#ranks.has(token)) this.#put({ token, rank, localRank, round, pid, startTime, end: null });
  }

  /** Everything that a nursery says it has. */
  adopt(state: NurseryState): void {
    for (const rank of state.ranks) {
      if (rank.exit !== null) this.exited(rank, rank.exit);
      else if (!this.#ranks.has(rank.token)) this.#put({ ...rank, end: null });
    }
  }

  /** True if that was news. */
  exited(rank: NurseryRank, exit: RankExit): boolean {
    if (this.#ranks.get(rank.token)?.end != null) return false; // K1
    const isFailure = exit.exitCode !== 0;
    const errorText = isFailure ? errorTextOf(this.filesOf(rank)) : "";
    const wasOomKill = exit.signal === "SIGKILL" && kernelOomKills() > this.#oomKills;
    this.#oomKills = kernelOomKills();
    const isOutOfMemory = wasOomKill || (isFailure && saysOutOfMemory(errorText));
    this.#put({ ...rank, end: { exitCode: exit.exitCode, signal: exit.signal, isOutOfMemory, errorText, atMs: exit.atMs } });
    return true;
  }

  /** A rank that was begun and of which nothing is left, or that could not be started (exit code 127, as a shell says it). */
  lost(round: number, rank: LedgerRank, why: Readonly<{ exitCode: number | null; because: string }>, atMs: number): void {
    const known = this.#ranks.get(rank.token);
    if (known?.end != null) return; // K1
    const signal = why.exitCode === null ? "SIGKILL" : null;
    const said = known === undefined ? "" : errorTextOf(known.files);
    const errorText = said === "" ? why.because : said;
    const end = { exitCode: why.exitCode, signal, isOutOfMemory: false, errorText, atMs };
    this.#put({ ...rank, round, startTime: known?.startTime ?? "", pid: known?.pid ?? rank.pid, end });
  }

  /** Ranks of the ledger that must have died with a nursery before this one (K2). */
  loseMissing(ledger: RoundLedger, state: NurseryState | null, atMs: number): void {
    const isSame = state?.identity.pid === ledger.nursery.pid && state.identity.startTime === ledger.nursery.startTime;
    for (const rank of ledger.ranks) {
      if (this.#ranks.has(rank.token) || (isSame && rank.pid === 0)) continue;
      this.lost(ledger.assignment.round, rank, { exitCode: null, because: `its nursery, process ${ledger.nursery.pid}, died, and it with it` }, atMs);
    }
  }

  /** Forgets the ended ranks of all rounds but this; gives their tokens. */
  forgetBut(round: number): string[] {
    const old = [...this.#ranks.values()].filter((rank) => rank.round !== round && rank.end !== null).map(({ token }) => token);
    for (const token of old) this.#ranks.delete(token);
    return old;
  }

  /** Every rank of the newest round, as the master is told. */
  reports(): RankReport[] {
    const newest = Math.max(...[...this.#ranks.values()].map(({ round }) => round));
    return [...this.#ranks.values()].filter(({ round }) => round === newest).map(reportOf);
  }

  #put(rank: Omit<KnownRank, "files">): void {
    const { token, localRank, round, pid, startTime, end } = rank;
    this.#ranks.set(token, { token, rank: rank.rank, localRank, round, pid, startTime, end, files: this.filesOf(rank) });
  }
}

function reportOf({ token, localRank, round, pid, end }: KnownRank): RankReport {
  return {
    token,
    localRank,
    round,
    pid,
    state: end === null ? "running" : "exited",
    exitCode: end?.exitCode ?? null,
    signal: end?.signal ?? null,
    isOutOfMemory: end?.isOutOfMemory ?? false,
    errorText: end?.errorText ?? "",
    exitedAtMs: end?.atMs ?? null,
  };
}
