/** The body of GET /api/v1/job: the job, its master, its nodes and ranks. */

import type { EndReason, Stage } from "../job/stage.js";
import type { WorldView } from "../job/world-view.js";
import type { MisfitCount } from "./dlrover/dlrover-desk.js";

export type JobStatus = Readonly<{
  job: string;
  stage: Stage;
  reason: EndReason | null;
  createdAtMs: number;
  endedAtMs: number | null;
  /** `pid` null: no master lives. */
  master: Readonly<{ pid: number | null; address: string | null; restarts: number }>;
  /** Where the agents are DLRover's: their messages that were answered neutrally, since the start of this master. */
  dlrover?: Readonly<{ misfits: readonly MisfitCount[] }> | undefined;
}> &
  WorldView;
