/**
 * The stages of a job as a table: which follows which, and what brings it about. The Master Orchestrator moves along it; nobody else does.
 *
 * - L1  Every change of stage is an edge of `stageEdges`; what is not there does not happen.
 * - L2  `stopping` is the only way to an end. Success is left by nothing; what failed or was stopped, a person may take up again.
 * - L3  The final stage follows from the reason alone.
 */

import type { EndReason, Stage } from "./stage.js";

export type StageCause =
  | "hosts-opened"
  | "round-opened"
  | "world-running"
  | "world-failed"
  | "world-resizing"
  | "paused"
  | "resumed"
  | "end-decided"
  | "all-gone"
  | "taken-up";

type Edge = readonly [from: Stage, cause: StageCause, to: Stage];

/** L1. `all-gone` leads to what the reason says (L3). */
export const stageEdges: readonly Edge[] = [
  ["created", "hosts-opened", "precheck"],
  ["precheck", "round-opened", "rendezvous"],
  ["rendezvous", "world-running", "running"],
  ["rendezvous", "world-failed", "recovering"],
  ["rendezvous", "world-resizing", "scaling"],
  ["running", "world-failed", "recovering"],
  ["running", "world-resizing", "scaling"],
  ["recovering", "world-running", "running"],
  ["recovering", "world-resizing", "scaling"],
  ["scaling", "world-running", "running"],
  ["scaling", "world-failed", "recovering"],
  ["rendezvous", "paused", "paused"],
  ["running", "paused", "paused"],
  ["recovering", "paused", "paused"],
  ["scaling", "paused", "paused"],
  ["paused", "resumed", "rendezvous"],
  ["created", "end-decided", "stopping"],
  ["precheck", "end-decided", "stopping"],
  ["rendezvous", "end-decided", "stopping"],
  ["running", "end-decided", "stopping"],
  ["recovering", "end-decided", "stopping"],
  ["scaling", "end-decided", "stopping"],
  ["paused", "end-decided", "stopping"],
  ["stopping", "all-gone", "succeeded"],
  ["stopping", "all-gone", "failed"],
  ["stopping", "all-gone", "stopped"],
  ["failed", "taken-up", "created"],
  ["stopped", "taken-up", "created"],
];

const byCause = new Map<string, Stage>(
  stageEdges.filter(([, cause]) => cause !== "all-gone").map(([from, cause, to]) => [`${from} ${cause}`, to]),
);

/** Where `cause` leads from `from`; null when it changes nothing there. */
export function nextStage(from: Stage, cause: Exclude<StageCause, "all-gone">): Stage | null {
  return byCause.get(`${from} ${cause}`) ?? null;
}

/** L3: the stage in which a job ends for this reason. */
export function finalStage(reason: EndReason): "succeeded" | "failed" | "stopped" {
  if (reason.code === "ALL_SUCCEEDED") return "succeeded";
  return reason.code === "STOPPED_BY_USER" ? "stopped" : "failed";
}

export function isFinal(stage: Stage): boolean {
  return stage === "succeeded" || stage === "failed" || stage === "stopped";
}

/** What the Job Manager says of the world, as a cause. `precheck` is where a job already is when it says so. */
export function causeOfPhase(phase: "precheck" | "rendezvous" | "running" | "recovering" | "scaling"): Exclude<StageCause, "all-gone"> {
  switch (phase) {
    case "precheck":
      return "hosts-opened";
    case "rendezvous":
      return "round-opened";
    case "running":
      return "world-running";
    case "recovering":
      return "world-failed";
    case "scaling":
      return "world-resizing";
  }
}
