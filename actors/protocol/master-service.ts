/** What the Master Service is told and asked. */

import type { EndReason, Stage } from "../../src/job/stage.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";
import type { PauseReason } from "../../src/store/journal-messages.js";

export type MasterServiceMessage =
  /** From the Master Orchestrator. */
  | Tell<"stage-changed", { stage: Stage; reason: EndReason | null; isFinal: boolean }>
  /** From the State Backend: rows up to this one can be read. */
  | Tell<"journal-advanced", { commitSeq: number }>
  /** From the State Backend: acknowledgements wait, or (null) go on. */
  | Tell<"journal-paused", { reason: PauseReason | null }>
  /** Where it listens, once it does. */
  | Ask<"get-address", object, { host: string; port: number }>
  // From its port and itself.
  | Tell<"listening", { host: string; port: number }>
  | Tell<"subscription-settled", { isOk: boolean }>
  | Tell<"subscribe-again">;
