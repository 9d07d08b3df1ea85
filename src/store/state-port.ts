/**
 * The State Backend's hands: the one place where its commands meet the SQLite file.
 *
 * What comes of a command is told to the actor as a `StatePortReport`, once a command and in no promised order; the
 * simulator has a port with the same commands and reports over a disk of its own. A file that fails for good fails the
 * actor (G3): its supervisor opens it afresh.
 */

import type { ActorPort, PortContext, ReplyTo, Tell } from "../runtime/actor.js";
import { packHistory, unpackOperations } from "./encoded.js";
import { JournalReader } from "./journal-reader.js";
import type {
  HistoryPage,
  HistoryQuery,
  JournalMessage,
  JournalOutcome,
  PauseReason,
  StoreInspection,
} from "./journal-messages.js";
import { type JournalNotice, SqliteJournal } from "./sqlite-journal.js";
import { BoundaryError } from "../base/errors.js";
import type { StoreOptions } from "./state-store.js";

export type StatePortCommand =
  /** Write these frames of operations in one transaction, with whatever else waits. */
  | Readonly<{ type: "write"; batch: number; frames: readonly Uint8Array[] }>
  | Readonly<{ type: "load"; request: number; actor: string }>
  | Readonly<{ type: "read-history"; request: number; query: HistoryQuery }>
  | Readonly<{ type: "inspect"; request: number }>;

/** What the asker of a frame is answered. */
export type WriteReply = ReplyTo<Extract<JournalMessage, { type: "write" }>>;
type LoadReply = ReplyTo<Extract<JournalMessage, { type: "load" }>>;

export type StatePortReport =
  | Tell<"batch-written", { batch: number; replies: readonly WriteReply[]; commitSeq: number }>
  | Tell<"request-done", { request: number; reply: LoadReply | HistoryPage | StoreInspection }>
  | Tell<"acknowledgements-paused", { reason: PauseReason | null }>;

/** Opens the state file; throws what `SqliteJournal.open` throws. */
export function openStatePort(options: StoreOptions, ctx: PortContext<StatePortReport>): ActorPort<StatePortCommand> {
  return new StatePort(options, ctx);
}

class StatePort implements ActorPort<StatePortCommand> {
  readonly #ctx: PortContext<StatePortReport>;
  readonly #journal: SqliteJournal;
  #reader: JournalReader | null = null;

  constructor(options: StoreOptions, ctx: PortContext<StatePortReport>) {
    this.#ctx = ctx;
    this.#journal = SqliteJournal.open({ ...options, onNotice: (notice) => this.#hear(notice) });
    ctx.log("info", "state file opened", { path: options.path, commitSeq: this.#journal.commitSeq });
  }

  perform(command: StatePortCommand): void {
    switch (command.type) {
      case "write":
        void this.#write(command.batch, command.frames);
        break;
      case "load":
        void this.#load(command.request, command.actor);
        break;
      case "read-history":
        this.#done(command.request, this.#readHistory(command.query));
        break;
      case "inspect":
        this.#done(command.request, this.#journal.inspect());
        break;
    }
  }

  async close(): Promise<void> {
    this.#reader?.close();
    await this.#journal.close();
  }

  async #write(batch: number, frames: readonly Uint8Array[]): Promise<void> {
    try {
      const parts = frames.map(unpackOperations);
      const outcomes = await this.#journal.write(parts.flat());
      let next = 0;
      const replies = parts.map(({ length }) => replyOf(outcomes.slice(next, (next += length))));
      this.#report({ type: "batch-written", batch, replies, commitSeq: this.#journal.commitSeq });
    } catch (error) {
      this.#fail(error);
    }
  }

  async #load(request: number, actor: string): Promise<void> {
    try {
      this.#done(request, { ok: true, frame: packHistory(await this.#journal.loadEncoded(actor)) });
    } catch (error) {
      const code = error instanceof BoundaryError ? error.code : "";
      if (code !== "STATE_DAMAGED" && code !== "JOURNAL_CLOSED") this.#fail(error);
      else this.#done(request, { ok: false, code, message: error instanceof Error ? error.message : code });
    }
  }

  #fail(error: unknown): void {
    this.#ctx.fail(error instanceof Error ? error : new Error(String(error)));
  }

  #readHistory(query: HistoryQuery): HistoryPage {
    try {
      this.#reader ??= new JournalReader(this.#journal.inspect().path);
      return { events: this.#reader.read(query), commitSeq: this.#journal.commitSeq };
    } catch (error) {
      if (error instanceof BoundaryError) return { ok: false, code: error.code, message: error.message };
      throw error;
    }
  }

  #hear(notice: JournalNotice): void {
    switch (notice.type) {
      case "committed":
        break;
      case "paused":
        this.#ctx.log("warn", "acknowledgements wait", { reason: notice.reason, pendingEvents: notice.pendingEvents });
        this.#report({ type: "acknowledgements-paused", reason: notice.reason });
        break;
      case "resumed":
        this.#ctx.log("info", "acknowledgements go on", { pausedMs: notice.pausedMs });
        this.#report({ type: "acknowledgements-paused", reason: null });
        break;
      case "snapshot-damaged":
        this.#ctx.log("warn", "a damaged snapshot was passed over", { actor: notice.actor, seq: notice.seq });
        break;
      case "failed":
        this.#ctx.fail(notice.error);
        break;
    }
  }

  #done(request: number, reply: Extract<StatePortReport, { type: "request-done" }>["reply"]): void {
    this.#report({ type: "request-done", request, reply });
  }

  /** In the control lane: an acknowledgement does not queue behind new appends. */
  #report(report: StatePortReport): void {
    this.#ctx.tell(this.#ctx.self, report, { isControl: true });
  }
}

function replyOf(outcomes: readonly JournalOutcome[]): WriteReply {
  return { outcomes: outcomes.every(({ ok }) => ok) ? null : outcomes };
}
