/** What the Master Orchestrator is told and asked. */

import type { Finding } from "../../src/job/finding.js";
import type { EndReason, Stage } from "../../src/job/stage.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type JobView = Readonly<{
  job: string;
  stage: Stage;
  reason: EndReason | null;
  createdAtMs: number;
  endedAtMs: number | null;
  /** Components of the master that were restarted. The restarts of ranks are the Job Manager's. */
  restarts: number;
}>;

export type MasterOrchestratorMessage =
  /** From the Job Manager: the job's nodes have passed into this state of affairs. */
  | Tell<"report-phase", { phase: "precheck" | "rendezvous" | "running" | "recovering" | "scaling"; because: string }>
  /** From the Job Manager: it came to an end on its own. The Orchestrator decides. */
  | Tell<"report-end", { reason: EndReason; attempt: number }>
  /** From the Job Manager: every node is stopped and gone. */
  | Tell<"nodes-gone">
  /** From the Diagnosis Master. */
  | Tell<"report-finding", { finding: Finding }>
  /** From the Master Service: a person asks. `kill` leaves no grace. */
  | Ask<"stop-job", { because: string; isKill: boolean }, { ok: true }>
  | Ask<"pause-job", { because: string }, { ok: true } | { ok: false; code: "NOT_RUNNING" | "UNSUPPORTED_AGENT"; message: string }>
  | Ask<"resume-job", object, { ok: true } | { ok: false; code: "NOT_PAUSED"; message: string }>
  /** From the process of the master, once it is up: a person takes up a job that failed or was stopped. */
  | Ask<"take-up-job", object, { ok: true } | { ok: false; code: "NOT_ENDED"; message: string }>
  | Ask<"get-job", object, JobView>
  /** From the runtime: a component was restarted, for the record. */
  | Tell<"child-restarted", { child: string; why: string; restarts: number }>
  // From itself.
  | Tell<"ask-address">
  | Tell<"address-known", { address: Readonly<{ host: string; port: number }> | null }>
  | Tell<"hosts-closed", { isClosed: boolean; why: string }>
  | Tell<"retry-stop">;
