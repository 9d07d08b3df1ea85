/** What the agent knows of its ranks (src/agent/rank-book.ts). */

import { expect } from "chai";
import type { NurseryRank } from "../../src/agent/nursery.js";
import { RankBook } from "../../src/agent/rank-book.js";
import type { RoundLedger } from "../../src/agent/rank-ledger.js";
import { nodeFiles } from "../../src/launch/node-files.js";

const assignment = { round: 2, groupRank: 0, groupWorldSize: 1, firstRank: 0, nproc: 2, worldSize: 2, roleFirstRank: 0, roleWorldSize: 2, masterAddr: "a", masterPort: 1, restartCount: 0 };
const nursery = { pid: 10, startTime: "100" };
const ledger = (pids: number[]): RoundLedger => ({
  assignment,
  nursery,
  ranks: pids.map((pid, localRank) => ({ token: `t${localRank}`, rank: localRank, localRank, pid })),
});
const rank = (localRank: number, exitCode: number | null = null): NurseryRank => ({
  ...{ token: `t${localRank}`, rank: localRank, localRank, round: 2, pid: 20 + localRank, startTime: "5", isWarm: true },
  exit: exitCode === null ? null : { exitCode, signal: null, atMs: 7 },
});
const state = (ranks: NurseryRank[], identity = nursery): { identity: typeof nursery; mode: string; ranks: NurseryRank[]; stores: [] } => ({ identity, mode: "warm", ranks, stores: [] });

describe("the book of ranks", () => {
  let book: RankBook;
  beforeEach(() => {
    book = new RankBook("/nowhere/logs", nodeFiles("/nowhere", "n"));
  });

  it("notes an end once, also when it is told before the start (K1)", () => {
    expect(book.exited(rank(0, 3), rank(0, 3).exit!)).to.equal(true);
    book.started(2, { token: "t0", rank: 0, localRank: 0, pid: 20 }, "5");
    expect(book.exited(rank(0, 4), rank(0, 4).exit!)).to.equal(false);
    book.lost(2, { token: "t0", rank: 0, localRank: 0, pid: 20 }, { exitCode: null, because: "?" }, 9);
    expect(book.reports()).to.have.lengthOf(1);
    expect(book.reports()[0]).to.include({ state: "exited", exitCode: 3, signal: null, exitedAtMs: 7 });
  });

  it("says that ranks of an earlier nursery were killed (K2)", () => {
    book.loseMissing(ledger([20, 21]), state([], { pid: 11, startTime: "200" }), 9);
    expect(book.reports().map(({ signal, pid }) => [signal, pid])).to.deep.equal([["SIGKILL", 20], ["SIGKILL", 21]]);
    expect(book.reports()[0]!.errorText).to.equal("its nursery, process 10, died, and it with it");
  });

  it("does not lose a rank that this nursery has, or was never told to start", () => {
    book.adopt(state([rank(0)]));
    book.loseMissing(ledger([20, 0]), state([rank(0)]), 9);
    expect(book.reports().map(({ token, state: rankState }) => [token, rankState])).to.deep.equal([["t0", "running"]]);
    expect(book.has("t1")).to.equal(false);
  });

  it("tells of the newest round only, and forgets ended ranks of others", () => {
    book.adopt(state([{ ...rank(0, 0), token: "old", round: 1 }, rank(1)]));
    expect(book.reports().map(({ token }) => token)).to.deep.equal(["t1"]);
    expect(book.forgetBut(2)).to.deep.equal(["old"]);
    expect(book.forgetBut(2)).to.deep.equal([]);
  });

  it("tells of nothing where nothing was started", () => expect(book.reports()).to.deep.equal([]));
});
