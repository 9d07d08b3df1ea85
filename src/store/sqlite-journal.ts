/**
 * The journal over one SQLite file: group commit, and patience with a full disk.
 *
 * Owns when something is written and when it is tried again; `StateStore` owns how.
 *
 * - G1  Everything that was asked in one turn of the event loop goes into one transaction (up to `groupEventsMax`
 *       events).
 * - G2  Nothing is acknowledged before its transaction is durable. A transaction that finds no room is tried again, as
 *       a whole and in order, until there is room; meanwhile acknowledgements wait and `paused` says so.
 * - G3  Any other failure of the file is final: everything that waits and everything later fails with it. Who owns the
 *       journal opens it afresh, and what was not acknowledged is sent again (appends are idempotent).
 */

import { BoundaryError } from "../base/errors.js";
import { decodeHistory, encodeAppend, encodeSnapshot, type EncodedHistory, type Operation } from "./encoded.js";
import type { ActorHistory, Journal, StoredEvent, StoredSnapshot } from "./journal.js";
import type { JournalOutcome, PauseReason, StoreInspection } from "./journal-messages.js";
import { isBusy, isDiskFull, stateErrorOf } from "./state-errors.js";
import { StateStore, type StoreOptions } from "./state-store.js";

/** What the owner of a journal is told, at once and in order. */
export type JournalNotice =
  | Readonly<{ type: "committed"; commitSeq: number }>
  | Readonly<{ type: "paused"; reason: PauseReason; pendingEvents: number }>
  | Readonly<{ type: "resumed"; pausedMs: number }>
  | Readonly<{ type: "snapshot-damaged"; actor: string; seq: number }>
  | Readonly<{ type: "failed"; error: BoundaryError }>;

export interface SqliteJournalOptions extends StoreOptions {
  readonly onNotice?: (notice: JournalNotice) => void;
}

/** More events than this may not wait; further appends are refused with JOURNAL_BUSY. */
export const pendingEventsMax = 100_000;
/** A transaction takes no further operation once it has this many events. */
export const groupEventsMax = 4_096;

const retryFirstMs = 100;
const retryLongestMs = 5_000;

type PendingWrite = Readonly<{
  operations: readonly Operation[];
  /** How many events they are. */
  events: number;
  settle: (outcomes: readonly JournalOutcome[]) => void;
  fail: (error: Error) => void;
}>;

type PendingLoad = Readonly<{ actor: string; settle: (history: EncodedHistory) => void; fail: (error: Error) => void }>;

export class SqliteJournal implements Journal {
  readonly #options: SqliteJournalOptions;
  readonly #store: StateStore;
  #queue: (PendingWrite | PendingLoad)[] = [];
  #pendingEvents = 0;
  #turn: NodeJS.Immediate | null = null;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = retryFirstMs;
  #paused: Readonly<{ reason: PauseReason; sinceMs: number }> | null = null;
  #ended: Error | null = null;
  #commits = 0;

  /** Throws `BoundaryError`: STATE_LOCKED, STATE_DAMAGED, STATE_NEWER, STATE_READ_ONLY, STATE_DISK_FULL, STATE_IO. */
  static open(options: SqliteJournalOptions): SqliteJournal {
    return new SqliteJournal(options, new StateStore(options));
  }

  private constructor(options: SqliteJournalOptions, store: StateStore) {
    this.#options = options;
    this.#store = store;
  }

  /** Why acknowledgements wait; null when they do not. */
  get paused(): PauseReason | null {
    return this.#paused?.reason ?? null;
  }

  /** Position of the newest durable event. */
  get commitSeq(): number {
    return this.#store.commitSeq;
  }

  async append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    throwRefusal(await this.write([encodeAppend(actor, events)]));
  }

  async saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void> {
    throwRefusal(await this.write([encodeSnapshot(actor, snapshot)]));
  }

  /** Sees everything that was asked before it. Rejects with STATE_DAMAGED, JOURNAL_CLOSED. */
  async load(actor: string): Promise<ActorHistory> {
    return decodeHistory(await this.loadEncoded(actor));
  }

  /** Like `load`, without looking into the events. */
  loadEncoded(actor: string): Promise<EncodedHistory> {
    return new Promise((settle, fail) => {
      this.#enqueue({ actor, settle, fail });
    });
  }

  /**
   * Writes operations in one transaction; refusals are data, in the order of the operations. Rejects only when the file
   * fails (G3).
   */
  write(operations: readonly Operation[]): Promise<readonly JournalOutcome[]> {
    return new Promise((settle, fail) => {
      const events = operations.reduce((sum, operation) => sum + eventCount(operation), 0);
      if (this.#ended instanceof JournalClosedError) settle(operations.map(() => closedRefusal));
      else if (this.#pendingEvents + events > pendingEventsMax) {
        const message = `${this.#pendingEvents} events wait for the disk already.`;
        settle(operations.map(() => ({ ok: false, code: "JOURNAL_BUSY", message })));
      } else this.#enqueue({ operations, events, settle, fail });
    });
  }

  inspect(): StoreInspection {
    return {
      path: this.#store.path,
      durability: this.#options.durability ?? "power",
      commitSeq: this.#store.commitSeq,
      actors: this.#store.actorCount,
      pendingEvents: this.#pendingEvents,
      paused: this.paused,
      pausedSinceMs: this.#paused?.sinceMs ?? null,
      commits: this.#commits,
    };
  }

  /** Writes what waits, unless the disk is full: then that fails with JOURNAL_CLOSED. The lock is free afterwards. */
  close(): Promise<void> {
    if (this.#ended === null) {
      while (this.#queue.length > 0 && this.#paused === null) this.#writeGroup();
      this.#end(new JournalClosedError());
    }
    return Promise.resolve();
  }

  #enqueue(pending: PendingWrite | PendingLoad): void {
    if (this.#ended !== null) {
      pending.fail(this.#ended);
      return;
    }
    this.#queue.push(pending);
    if ("operations" in pending) this.#pendingEvents += pending.events;
    this.#schedule();
  }

  // G1
  #schedule(): void {
    if (this.#turn !== null || this.#retry !== null || this.#queue.length === 0) return;
    this.#turn = setImmediate(() => {
      this.#turn = null;
      this.#writeGroup();
      this.#schedule();
    });
  }

  #writeGroup(): void {
    const { operations, length } = this.#nextGroup();
    let outcomes: JournalOutcome[];
    const commitSeqBefore = this.#store.commitSeq;
    try {
      outcomes = operations.length === 0 ? [] : this.#store.commit(operations);
    } catch (error) {
      this.#commitFailed(error);
      return;
    }
    this.#resume();
    this.#commits++;
    let next = 0;
    for (const pending of this.#queue.splice(0, length)) {
      if ("actor" in pending) this.#answerLoad(pending);
      else {
        this.#pendingEvents -= pending.events;
        pending.settle(outcomes.slice(next, (next += pending.operations.length)));
      }
    }
    if (this.#store.commitSeq > commitSeqBefore) this.#notify({ type: "committed", commitSeq: this.#store.commitSeq });
    if (operations.some(({ type }) => type === "save-snapshot")) this.#pruneSoon();
  }

  /** The head of the queue, up to the first write behind a load (J3) or to `groupEventsMax` events. */
  #nextGroup(): { operations: Operation[]; length: number } {
    const operations: Operation[] = [];
    let length = 0;
    let events = 0;
    let hasLoad = false;
    for (const pending of this.#queue) {
      if ("operations" in pending) {
        if (hasLoad || events >= groupEventsMax) break;
        operations.push(...pending.operations);
        events += pending.events;
      } else hasLoad = true;
      length++;
    }
    return { operations, length };
  }

  #answerLoad({ actor, settle, fail }: PendingLoad): void {
    try {
      settle(this.#store.load(actor, (seq) => this.#notify({ type: "snapshot-damaged", actor, seq })));
    } catch (error) {
      fail(stateErrorOf(error, this.#store.path));
    }
  }

  // G2, G3
  #commitFailed(error: unknown): void {
    const reason = isDiskFull(error, this.#store.path) ? "disk-full" : isBusy(error) ? "file-locked" : null;
    if (reason === null) {
      const failure = stateErrorOf(error, this.#store.path);
      this.#end(failure);
      this.#notify({ type: "failed", error: failure });
      return;
    }
    if (this.#paused?.reason !== reason) {
      this.#paused = { reason, sinceMs: this.#paused?.sinceMs ?? Date.now() };
      this.#notify({ type: "paused", reason, pendingEvents: this.#pendingEvents });
    }
    this.#retry = setTimeout(() => {
      this.#retry = null;
      this.#writeGroup();
      this.#schedule();
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, retryLongestMs);
  }

  #resume(): void {
    this.#retryMs = retryFirstMs;
    if (this.#paused === null) return;
    const pausedMs = Date.now() - this.#paused.sinceMs;
    this.#paused = null;
    this.#notify({ type: "resumed", pausedMs });
  }

  /**
   * In a turn of its own, so that acknowledgements do not wait for it. A disk that is full puts it off to the next
   * snapshot.
   */
  #pruneSoon(): void {
    setImmediate(() => {
      if (this.#ended !== null || this.#paused !== null) return;
      try {
        this.#store.prune();
      } catch (error) {
        if (!isDiskFull(error, this.#store.path) && !isBusy(error)) this.#commitFailed(error);
      }
    });
  }

  #end(reason: Error): void {
    this.#ended = reason;
    if (this.#turn !== null) clearImmediate(this.#turn);
    if (this.#retry !== null) clearTimeout(this.#retry);
    this.#store.close();
    this.#pendingEvents = 0;
    for (const pending of this.#queue.splice(0)) {
      if ("operations" in pending && reason instanceof JournalClosedError) {
        pending.settle(pending.operations.map(() => closedRefusal));
      } else pending.fail(reason);
    }
  }

  #notify(notice: JournalNotice): void {
    this.#options.onNotice?.(notice);
  }
}

const closedRefusal: JournalOutcome = { ok: false, code: "JOURNAL_CLOSED", message: "The journal is closed." };

class JournalClosedError extends BoundaryError {
  constructor() {
    super("JOURNAL_CLOSED", "The journal is closed.");
  }
}

function throwRefusal(outcomes: readonly JournalOutcome[]): void {
  for (const outcome of outcomes) if (!outcome.ok) throw new BoundaryError(outcome.code, outcome.message);
}

function eventCount(operation: Operation): number {
  return operation.type === "append" ? operation.events.length : 1;
}
