import { expect } from "chai";
import { openBudget } from "../../src/job/budget.js";
import { classifyExit, type ExitKind, isHopeless, looksLikeConsequence, signatureOf } from "../../src/job/exit-reason.js";
import { causeOfFailures, type FormerFailure, judgeFailure } from "../../src/job/failure-verdict.js";
import type { RankFailure } from "../../src/job/stage.js";

const exit = { exitCode: null, signal: null, isOutOfMemory: false, errorText: "" };

describe("the exit of a rank", () => {
  const kinds: [string, Partial<typeof exit> | Partial<Record<keyof typeof exit, unknown>>, ExitKind][] = [
    ["0", { exitCode: 0 }, "success"],
    ["1 with a traceback", { exitCode: 1, errorText: "ValueError: no" }, "user-error"],
    ["SIGKILL", { signal: "SIGKILL" }, "killed"],
    ["137, as a shell says SIGKILL", { exitCode: 137 }, "killed"],
    ["SIGKILL of the kernel's memory killer", { signal: "SIGKILL", isOutOfMemory: true }, "out-of-memory"],
    ["a MemoryError", { exitCode: 1, errorText: "Traceback\nMemoryError: no room" }, "out-of-memory"],
    ["247, DLRover's out of memory", { exitCode: 247 }, "out-of-memory"],
    ["201, DLRover's hardware", { exitCode: 201 }, "hardware"],
    ["an ECC error", { exitCode: 1, errorText: "CUDA error: uncorrectable ECC error encountered" }, "hardware"],
    ["SIGSEGV", { signal: "SIGSEGV" }, "user-error"],
  ];
  for (const [what, told, kind] of kinds) {
    it(`of ${what} is ${kind}`, () => {
      expect(classifyExit({ ...exit, ...told } as typeof exit, false)).to.equal(kind);
    });
  }

  it("that was asked for is no failure (X1)", () => {
    expect(classifyExit({ ...exit, signal: "SIGTERM" }, true)).to.equal("stopped");
    expect(classifyExit({ ...exit, exitCode: 0 }, true)).to.equal("success");
  });

  it("has the exception as its signature", () => {
    expect(signatureOf("Traceback (most recent call last):\n  File x\nValueError: no\n\n")).to.equal("ValueError: no");
    expect(signatureOf("")).to.equal("");
  });

  it("is hopeless where a rank cannot begin", () => {
    expect(isHopeless({ exitCode: 1, message: "Traceback\nImportError: x" })).to.equal(true);
    expect(isHopeless({ exitCode: 127, message: "" })).to.equal(true);
    expect(isHopeless({ exitCode: 2, message: "usage: t.py\nt.py: error: --out" })).to.equal(true);
    expect(isHopeless({ exitCode: 2, message: "my own code" })).to.equal(false);
    expect(isHopeless({ exitCode: 1, message: "Traceback\nRuntimeError: ImportError" })).to.equal(false);
  });
});

const failure = (told: Partial<RankFailure> = {}): RankFailure => ({
  rank: 0,
  localRank: 0,
  node: "n",
  host: "h",
  reason: "user-error",
  exitCode: 1,
  signal: null,
  message: "ValueError: no",
  atMs: 0,
  ...told,
});

describe("the failure of a world", () => {
  const closed = failure({ rank: 3, message: "RuntimeError: [gloo] Connection closed by peer [::1]", atMs: 1 });

  it("has the earliest of its own causes for its cause, not a consequence that was heard first (X2)", () => {
    const late = failure({ rank: 2, atMs: 9 });
    expect(causeOfFailures([closed, late, failure({ rank: 1, atMs: 5 })]).rank).to.equal(1);
    expect(causeOfFailures([closed]).rank).to.equal(3);
    expect(looksLikeConsequence(failure({ signal: "SIGTERM" }))).to.equal(true);
    expect(looksLikeConsequence(failure({ signal: "SIGKILL" }))).to.equal(false);
  });

  const judge = (told: Partial<Parameters<typeof judgeFailure>[0]> = {}): ReturnType<typeof judgeFailure> =>
    judgeFailure({
      failure: failure(),
      former: null,
      furthest: 10,
      livedMs: 100_000,
      budget: openBudget({ maxRestarts: 3, maxRelaunches: 0 }),
      ...told,
    });
  const former = (told: Partial<FormerFailure> = {}): FormerFailure => ({ failure: failure(), furthest: 10, livedMs: 100_000, ...told });

  it("restarts it while the budget allows (F1)", () => {
    expect(judge()).to.deep.equal({ kind: "restart", because: "rank 0 (n) failed with exit code 1: ValueError: no" });
    const spent = { maxRestarts: 3, maxRelaunches: 0, restarts: 3, relaunches: 0 };
    expect(judge({ budget: spent })).to.include({ kind: "fail", code: "RESTARTS_SPENT" });
    expect(judge({ budget: { ...spent, maxRestarts: 0, restarts: 0 } })).to.include({ kind: "fail", code: "RANK_FAILED" });
  });

  it("does not try the same error again when no step was gained (F2)", () => {
    expect(judge({ former: former() })).to.include({ kind: "fail", code: "RANK_FAILED" });
    expect(judge({ former: former({ furthest: 9 }) })).to.include({ kind: "restart" });
    expect(judge({ former: former({ failure: failure({ message: "ValueError: other" }) }) })).to.include({ kind: "restart" });
    expect(judge({ former: former({ failure: failure({ rank: 1 }) }) })).to.include({ kind: "fail", code: "RANK_FAILED" });
    const silent = failure({ message: "" });
    expect(judge({ failure: silent, former: former({ failure: silent }) })).to.include({ kind: "fail" });
    expect(judge({ failure: silent, former: former({ failure: failure({ rank: 1, message: "" }) }) })).to.include({ kind: "restart" });
  });

  it("tries again what was killed, however often", () => {
    const killed = failure({ reason: "killed", signal: "SIGKILL", exitCode: null, message: "" });
    expect(judge({ failure: killed, former: former({ failure: killed }) })).to.include({ kind: "restart" });
  });

  it("without known steps, goes by how long the ranks lived (F2)", () => {
    const short = { furthest: null, livedMs: 2_000 };
    expect(judge({ ...short, former: former(short) })).to.include({ kind: "fail" });
    expect(judge({ ...short, former: former({ furthest: null, livedMs: 60_000 }) })).to.include({ kind: "restart" });
  });

  it("fails at once what cannot begin, but not after a first step (F2)", () => {
    const missing = failure({ message: "ModuleNotFoundError: No module named 'x'" });
    expect(judge({ failure: missing, furthest: null })).to.include({ kind: "fail", code: "RANK_FAILED" });
    expect(judge({ failure: missing })).to.include({ kind: "restart" });
  });

  it("is unsure of an end while only a consequence is known", () => {
    const budget = openBudget({ maxRestarts: 0, maxRelaunches: 0 });
    expect(judge({ failure: closed, budget })).to.include({ kind: "fail", isSure: false });
    expect(judge({ budget })).to.include({ kind: "fail", isSure: true });
  });
});
