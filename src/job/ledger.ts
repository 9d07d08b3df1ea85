/** What the rules of the Job Manager read and write a job by: the record as it is, the time, and the one way to change it. */

import type { JobEvent } from "./job-event.js";
import type { JobRecord } from "./job-record.js";
import type { EndReason } from "./stage.js";

export type Ledger = Readonly<{
  job: JobRecord;
  nowMs: number;
  /** Since when the Job Manager has been up: nobody is late for what happened while it was away. */
  upSinceMs: number;
  /** Applies the event to the record at once. */
  emit(event: JobEvent): void;
}>;

/** The job's nodes can do no more for it. The Orchestrator hears of it and decides. Said once. */
export function endJob(ledger: Ledger, reason: EndReason): void {
  if (isOver(ledger)) return;
  ledger.emit({ type: "job-over", reason, atMs: ledger.nowMs });
}

/** Nothing new is begun: the job has ended, stops, or has not begun. A paused job is not over. */
export function isOver({ job }: Ledger): boolean {
  return job.end !== null || job.mode === "stopping" || job.mode === "idle";
}

export function isActive({ job }: Ledger): boolean {
  return job.end === null && job.mode === "active";
}
