/**
 * A rank has failed: which failure was the cause, and does the world start again or does the job end?
 *
 * - F1  The budget is never overdrawn.
 * - F2  What would fail again the same way is not tried again: a rank that cannot even begin, and the same error (without a
 *       message: of the same rank) with no step gained in between.
 * - F3  The failure that is kept is the cause (X2): the earliest that does not look like a consequence, else the earliest.
 */

import { type Budget, canRestart } from "./budget.js";
import { isHopeless, looksLikeConsequence, signatureOf } from "./exit-reason.js";
import type { EndReason, RankFailure } from "./stage.js";

/** What is remembered of the last failure of a world. */
export type FormerFailure = Readonly<{ failure: RankFailure; furthest: number | null; livedMs: number }>;

export type FailureVerdict =
  | Readonly<{ kind: "restart"; because: string }>
  /** `isSure`: no later report can show another cause. */
  | Readonly<{ kind: "fail"; code: EndReason["code"]; because: string; isSure: boolean }>;

/** Without any step known, two errors of lives shorter than this are taken to be the same error at the same place. */
const shortLifeMs = 30_000;

/** F3. `failures` must not be empty. */
export function causeOfFailures(failures: readonly RankFailure[]): RankFailure {
  const own = failures.filter((failure) => !looksLikeConsequence(failure));
  const [first, ...rest] = own.length > 0 ? own : failures;
  if (!first) throw new Error("a world that failed has at least one failure");
  return rest.reduce((earliest, failure) => (failure.atMs < earliest.atMs ? failure : earliest), first);
}

export function judgeFailure(
  input: Readonly<{
    failure: RankFailure;
    former: FormerFailure | null;
    /** The furthest step that the job ever reached; null while none is known. */
    furthest: number | null;
    livedMs: number;
    budget: Readonly<Budget>;
  }>,
): FailureVerdict {
  const { failure, former, furthest, livedMs, budget } = input;
  const what = describeFailure(failure);
  const isSure = !looksLikeConsequence(failure);
  if (failure.reason === "user-error" && furthest === null && isHopeless(failure)) {
    return { kind: "fail", code: "RANK_FAILED", because: `${what} before its first step: it would fail again`, isSure: true }; // F2
  }
  if (isSure && former && isSameAgain(failure, former, furthest, livedMs)) {
    const because = `${what}, as it did before, and no step was gained in between: it would fail again`;
    return { kind: "fail", code: "RANK_FAILED", because, isSure: true }; // F2
  }
  if (canRestart(budget)) return { kind: "restart", because: what };
  const { maxRestarts } = budget; // F1
  if (maxRestarts === 0) return { kind: "fail", code: "RANK_FAILED", because: `${what}; no restarts are allowed`, isSure };
  return { kind: "fail", code: "RESTARTS_SPENT", because: `${what}; all ${maxRestarts} restarts are spent`, isSure };
}

function isSameAgain(failure: RankFailure, former: FormerFailure, furthest: number | null, livedMs: number): boolean {
  if (failure.reason !== "user-error" || former.failure.reason !== "user-error") return false;
  const signature = signatureOf(failure.message);
  if (failure.exitCode !== former.failure.exitCode || failure.signal !== former.failure.signal || signature !== signatureOf(former.failure.message)) return false;
  if (signature === "" && failure.rank !== former.failure.rank) return false; // Ranks that fail alike take turns at being the first.
  if (furthest === null) return livedMs < shortLifeMs && former.livedMs < shortLifeMs;
  return former.furthest !== null && furthest <= former.furthest;
}

/** One line: `rank 1 (worker-0) was killed by SIGKILL`. */
export function describeFailure(failure: RankFailure): string {
  const who = `rank ${failure.rank} (${failure.node})`;
  switch (failure.reason) {
    case "killed":
      return `${who} was killed${failure.signal ? ` by ${failure.signal}` : ` (exit code ${String(failure.exitCode)})`}`;
    case "out-of-memory":
      return `${who} ran out of memory`;
    case "hardware":
      return `${who} met broken hardware: ${signatureOf(failure.message) || `exit code ${String(failure.exitCode)}`}`;
    case "lost-heartbeat":
      return `${who} was lost`;
    default: {
      const how = failure.signal ? `crashed with ${failure.signal}` : `failed with exit code ${String(failure.exitCode)}`;
      const signature = signatureOf(failure.message);
      return signature ? `${who} ${how}: ${signature}` : `${who} ${how}`;
    }
  }
}
