/** What the Job Manager is told and asked. Requests of agents arrive decoded and validated by the Master Service. */

import type { AnyDlroverAnswer, DlroverRequest, NodeAction, Sender } from "../../src/job/dlrover/dlrover-request.js";
import type { NodeDesired } from "../../src/job/assignment.js";
import type { HostFacts } from "../../src/job/host-facts.js";
import type { JobSpec, Role } from "../../src/job/job-spec.js";
import type { RankProgress, RankReport } from "../../src/job/rank-report.js";
import type { NodeLaunch } from "../../src/job/scale-plan.js";
import type { NodeView, RankView, WorldView } from "../../src/job/world-view.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";
import type { PlacementView } from "./scheduler.js";

export type { HostFacts, NodeView, RankProgress, RankReport, RankView, WorldView };

export type StaleAgent = Readonly<{ ok: false; code: "STALE_AGENT" | "UNKNOWN_NODE"; message: string }>;

export type JobManagerMessage =
  // From the Master Orchestrator.
  /** `attempt`: 0, and one more each time that an ended job was taken up again. */
  | Tell<"start-nodes", { spec: JobSpec; attempt: number }>
  | Tell<"stop-nodes", { because: string; graceMs: number }>
  | Tell<"pause-nodes", { because: string }>
  | Tell<"resume-nodes">
  | Tell<"restart-ranks", { because: string; isCharged: boolean }>
  // From agents, by way of the Master Service. `agentId` names one life of an agent: a new one replaces the old.
  | Ask<
      "register-agent",
      { node: string; agentId: string; agentPid: number; facts: HostFacts; ranks: readonly RankReport[] },
      Readonly<{ ok: true; spec: JobSpec; role: Role; nodeRank: number; heartbeatIntervalMs: number }> | StaleAgent
    >
  | Ask<"join-round", { node: string; agentId: string; round: number; nproc: number; storeHost: string; storePort: number }, { ok: true } | StaleAgent>
  | Ask<"report-ranks", { node: string; agentId: string; ranks: readonly RankReport[] }, { ok: true } | StaleAgent>
  | Ask<"report-progress", { node: string; agentId: string; ranks: readonly RankProgress[] }, { ok: true } | StaleAgent>
  | Ask<"report-probe", { node: string; agentId: string; probe: string; text: string }, { ok: true } | StaleAgent>
  | Ask<"await-desired", { node: string; agentId: string; revision: number; waitMs: number }, { ok: true; desired: NodeDesired } | StaleAgent>
  | Tell<"agent-disconnected", { node: string; agentId: string }>
  // From the Scheduler: what became of a plan.
  | Tell<"node-launched", { node: string; host: string; address: string; pid: number }>
  | Tell<"node-unplaceable", { node: string; because: string; isForEver: boolean }>
  | Tell<"agent-exited", { node: string; because: string; isHostGone: boolean }>
  // From the Job Auto Scaler.
  | Tell<"resize-job", { nodes: readonly NodeLaunch[]; remove: readonly string[]; because: string }>
  // From the Diagnosis Master.
  | Tell<"collect-stacks", { probe: string; because: string }>
  | Tell<"facts-judged", { node: string; agentId: string; isFit: boolean; because: string }>
  // From the Master Service.
  | Ask<"get-world", object, WorldView>
  | Ask<"act-on-node", { node: string; action: NodeAction; because: string }, { ok: true } | Readonly<{ ok: false; code: "UNKNOWN_NODE" | "UNSUPPORTED_AGENT"; message: string }>>
  /** What DLRover's agents and clients ask and report, decoded. */
  | Ask<"dlrover", { sender: Sender; request: DlroverRequest }, AnyDlroverAnswer>
  // From itself.
  | Tell<"round-deadline", { group: string }>
  | Tell<"check-heartbeats">
  | Tell<"poll-deadline", { node: string }>
  /** The longest that a request of DLRover's clients is held. */
  | Tell<"held-deadline", { held: number }>
  | Tell<"ask-placements">
  /** What the Scheduler says of all nodes, asked after a restart; null when it could not be asked. */
  | Tell<"placements-known", { placements: readonly PlacementView[] | null }>;
