/** The low-rate interface by which the main thread governs a worker thread. Spoken through comlink; both sides are typed by this file. */

import type { MessagePort } from "node:worker_threads";
import type { ExitReason } from "./actor.js";
import type { CellInspection } from "./actor-cell.js";
import type { LogLine } from "./cell-host.js";
import type { ErrorData } from "./envelope.js";

export type StartActor = Readonly<{ id: string; module: string; name: string; options: unknown; capacity: number | null }>;

export type HostCounters = Readonly<{ deadLetters: number; lateAnswers: number; openAsks: number }>;

export interface ThreadControl {
  /** Loads modules ahead of their use, so that a spare thread starts an actor at once. */
  warm(modules: readonly string[]): Promise<void>;
  connect(host: number, port: MessagePort): void;
  /** Where durable actors of this thread keep their events: the id of the State Backend. */
  useJournal(actor: string): void;
  place(id: string, host: number): void;
  lose(ids: readonly string[], reason: ExitReason, isComingBack: boolean): void;
  /** Null, or why the actor did not start: comlink would carry less of an error. */
  start(actor: StartActor): Promise<ErrorData | null>;
  stop(id: string): Promise<void>;
  inspect(): { cells: CellInspection[]; counters: HostCounters };
  /** Answered when the event loop gets to it. */
  ping(): void;
}

/** What a worker thread tells the main thread. */
export type ThreadEvent =
  | Readonly<{ kind: "failed"; actor: string; reason: ExitReason; error: ErrorData }>
  | Readonly<{ kind: "stopped"; actor: string }>
  | Readonly<{ kind: "log"; line: LogLine }>;

export type ThreadData = Readonly<{ host: number; events: MessagePort }>;
