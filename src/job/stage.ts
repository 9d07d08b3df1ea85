/** The stages of a job, and why it ended. The Master Orchestrator alone moves a job from one to the next. */

import type { ExitKind } from "./exit-reason.js";

export type Stage =
  | "created"
  | "precheck"
  | "rendezvous"
  | "running"
  | "recovering"
  | "scaling"
  | "paused"
  | "stopping"
  | "succeeded"
  | "failed"
  | "stopped";

/** What a person needs to know of the rank that ended a job. */
export type RankFailure = Readonly<{
  rank: number;
  localRank: number;
  node: string;
  host: string;
  reason: ExitKind;
  exitCode: number | null;
  signal: string | null;
  /** Exception or last lines of stderr, at most 16 KiB. */
  message: string;
  atMs: number;
}>;

/** Why a job ended. */
export type EndReason = Readonly<{
  code:
    | "ALL_SUCCEEDED"
    | "RANK_FAILED"
    | "RESTARTS_SPENT"
    | "STOPPED_BY_USER"
    | "TOO_FEW_NODES"
    | "PRECHECK_FAILED"
    | "CANNOT_PLACE"
    | "NAN_LOSS"
    | "HANG";
  message: string;
  failure?: RankFailure;
}>;
