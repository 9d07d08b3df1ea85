/** What the rules of what is DLRover's alone read and write by. */

import type { DlroverEvent } from "./dlrover-event.js";
import type { DlroverRecord } from "./dlrover-record.js";

export type DlroverLedger = Readonly<{ record: DlroverRecord; nowMs: number; emit(event: DlroverEvent): void }>;
