/** The last thing on the screen when a job failed: the first rank that failed, on which host, with its traceback, and what may help. */

import { constants } from "node:os";
import chalk from "chalk";
import { explainError } from "../src/job/diagnosis-hints.js";
import type { JobStatus } from "../src/wire/job-status.js";

export function failureText({ job, stage, reason }: JobStatus): string {
  const paint = stage === "stopped" ? chalk.yellow : chalk.red;
  const head = `${paint.bold(`${job} ${stage}`)}: ${reason?.message ?? "no reason is known"}`;
  const failure = reason?.failure;
  if (!failure) return head;
  const how = failure.signal ?? `exit code ${String(failure.exitCode)}`;
  const where = `${chalk.bold(`rank ${failure.rank}`)} (local rank ${failure.localRank}) on ${failure.node}, host ${failure.host}: ${failure.reason}, ${how}`;
  const hint = explainError(failure.message);
  return [head, "", `First to fail: ${where}`, failure.message.trimEnd(), ...(hint === null ? [] : ["", chalk.yellow(hint.hint)])].join("\n");
}

const signals: Readonly<Record<string, number>> = constants.signals;

/** 0; the failed rank's own code; 128 and its signal; 130 after Ctrl-C; else 1. */
export function exitCodeOf({ stage, reason }: JobStatus, isInterrupted: boolean): number {
  if (stage === "succeeded") return 0;
  if (isInterrupted) return 130;
  const failure = reason?.failure;
  if (failure?.signal) return 128 + (signals[failure.signal] ?? 0);
  return failure?.exitCode || 1;
}
