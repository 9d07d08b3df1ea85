/** What the Master Orchestrator asks of all nodes: begin, pause, resume, stop; and what falls due without being asked. */

import { tellAllToLeave } from "./dlrover/peer-answers.js";
import type { JobSpec } from "./job-spec.js";
import { type Ledger, isActive, isOver } from "./ledger.js";
import { isFit } from "./node-state.js";
import { concludeVerdict } from "./rank-rules.js";
import { considerScaling, openRound, settleRound } from "./round-rules.js";
import type { GroupRecord } from "./job-record.js";

/** After the grace of the ranks, how long an agent may take to end itself before the Scheduler has to. */
export const agentGraceMs = 5_000;

/** Said again it changes nothing, but for the next attempt. */
export function beginJob(ledger: Ledger, spec: JobSpec, attempt: number): void {
  const { job, nowMs } = ledger;
  if (job.mode === "idle") ledger.emit({ type: "job-begun", spec, atMs: nowMs });
  if (attempt > job.attempt) {
    ledger.emit({ type: "job-begun-again", spec, attempt, because: "a person takes the job up", atMs: nowMs });
  }
}

export function pauseJob(ledger: Ledger, because: string): void {
  if (isActive(ledger)) ledger.emit({ type: "nodes-paused", because });
}

export function resumeJob(ledger: Ledger): void {
  const { job } = ledger;
  if (job.mode !== "paused" || job.end !== null) return;
  ledger.emit({ type: "nodes-resumed", because: "resumed" });
  for (const group of job.groups.values()) {
    const hasFit = [...job.nodes.values()].some((node) => node.group === group.id && isFit(node.state));
    if (group.phase === "idle" && hasFit) openRound(ledger, group, "resume", "resumed");
  }
}

/** Asked again with a shorter grace it goes faster; it never goes slower. */
export function stopJob(ledger: Ledger, because: string, graceMs: number): void {
  const { job, nowMs } = ledger;
  if (!job.stop) tellAllToLeave(ledger, because);
  if (!job.stop || graceMs < job.stop.graceMs) ledger.emit({ type: "nodes-stopping", because, graceMs, atMs: nowMs });
  noteIfGone(ledger);
}

/** While the job stops: whether every agent has ended, or had its time to. */
export function noteIfGone(ledger: Ledger): void {
  const { job, nowMs } = ledger;
  if (!job.stop || job.isGone) return;
  if (job.agents === 0) ledger.emit({ type: "nodes-gone", because: "every agent has ended" });
  else if (nowMs >= stopDueAtMs(job.stop)) ledger.emit({ type: "nodes-gone", because: `${job.agents} agents did not end in time` });
}

export function stopDueAtMs(stop: Readonly<{ graceMs: number; sinceMs: number }>): number {
  return stop.sinceMs + stop.graceMs + agentGraceMs;
}

/** The time that `roundDueAtMs` gave has come. */
export function meetDeadline(ledger: Ledger, group: GroupRecord): void {
  if (isOver(ledger)) return;
  if (group.verdict) {
    if (ledger.nowMs >= group.verdict.dueAtMs) concludeVerdict(ledger, group);
  } else if (group.phase === "open") settleRound(ledger, group);
  else considerScaling(ledger, group);
}
