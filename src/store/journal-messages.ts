/**
 * What the State Backend is asked, from the actor hosts that write and from those who read the job's history.
 *
 * - J1  `write` is answered once its operations are durable; while the disk is full the answer waits.
 * - J2  An append is idempotent: the same (actor, seq) with the same content is accepted again, so an ask may be sent
 *       again.
 * - J3  `load` sees everything that was asked before it.
 *
 * Events cross as they are stored (encoded.ts). Actor hosts do not send these themselves: their journal is
 * `ActorJournal` (src/runtime), which puts all that is written in one turn of a thread into one `write`.
 */

import type { ActorRef, Ask, Tell } from "../runtime/actor.js";
import type { StoredEvent } from "./journal.js";

/** Why the journal does not take something. Documented in docs/errors.md. */
export type JournalRefusalCode =
  /** The sequence does not follow what is stored. */
  | "JOURNAL_GAP"
  /** Something else is stored under this sequence number. */
  | "JOURNAL_CONFLICT"
  /** The event or snapshot cannot be encoded, or is over `payloadBytesMax`. */
  | "JOURNAL_BAD_EVENT"
  /** More than `pendingEventsMax` events wait already (a disk that is full for long). */
  | "JOURNAL_BUSY"
  | "JOURNAL_CLOSED"
  /** Load only: the actor's history cannot be read. */
  | "STATE_DAMAGED";

export type JournalRefusal = Readonly<{ ok: false; code: JournalRefusalCode; message: string }>;

/** How an append or a snapshot ended. */
export type JournalOutcome = Readonly<{ ok: true }> | JournalRefusal;

/** Why acknowledgements wait: the disk is full, or another program holds the file's write lock. */
export type PauseReason = "disk-full" | "file-locked";

/** One event of the job's history as a reader sees it. */
export type HistoryEvent = Readonly<{
  /** Position in the history of the whole job; grows with every event, may have holes where history was pruned. */
  commitSeq: number;
  actor: string;
  seq: number;
  atMs: number;
  type: string;
  /** Null when the row is damaged (`isIntact` false). */
  event: Readonly<{ type: string }> | null;
  isIntact: boolean;
  cause?: StoredEvent["cause"];
}>;

/** Which part of the history is meant. */
export type HistoryFilter = Readonly<{
  /** Only this actor's events. */
  actor?: string;
  /** Only events of these types; at most 32. */
  types?: readonly string[];
  /** Most events in one answer: 1 to 10,000; default 1,000. */
  limit?: number;
}>;

/**
 * Oldest first from behind `afterCommitSeq` (default 0), or newest first from before `beforeCommitSeq` (default the
 * end).
 */
export type HistoryQuery = HistoryFilter &
  Readonly<{ order: "oldest-first"; afterCommitSeq?: number } | { order: "newest-first"; beforeCommitSeq?: number }>;

/** What `read-history` gives; `commitSeq` is the newest position when it was read. */
export type HistoryPage =
  | Readonly<{ events: readonly HistoryEvent[]; commitSeq: number }>
  | Readonly<{ ok: false; code: string; message: string }>;

/** What `inspect` shows of the store. */
export type StoreInspection = Readonly<{
  path: string;
  durability: "power" | "process";
  commitSeq: number;
  actors: number;
  pendingEvents: number;
  paused: PauseReason | null;
  pausedSinceMs: number | null;
  commits: number;
}>;

/** Told to subscribers; coalesced, so `commitSeq` may have grown by many. */
export type JournalAdvanced = Tell<"journal-advanced", { commitSeq: number }>;

/** Told to subscribers when acknowledgements begin to wait (`reason`) and when they go on (`null`). */
export type JournalPaused = Tell<"journal-paused", { reason: PauseReason | null }>;

export type SubscriberRef = ActorRef<JournalAdvanced | JournalPaused>;

export type JournalMessage =
  /** `frame`: `packOperations`. `outcomes` stand in the order of the operations; null when all are `ok`. */
  | Ask<"write", { frame: Uint8Array }, Readonly<{ outcomes: readonly JournalOutcome[] | null }>>
  /** `frame`: `packHistory`. */
  | Ask<"load", { actor: string }, Readonly<{ ok: true; frame: Uint8Array }> | JournalRefusal>
  /**
   * Refused with HISTORY_QUERY for a query out of its bounds, and with STATE_DAMAGED or STATE_IO for a file that cannot
   * be read.
   */
  | Ask<"read-history", { query: HistoryQuery }, HistoryPage>
  | Ask<"inspect", object, StoreInspection>
  /**
   * From now on `subscriber` is told `journal-advanced` and `journal-paused`. Sent again it changes nothing. It ends
   * when the subscriber stops, or the State Backend restarts: who must not miss that monitors the State Backend and
   * subscribes again. Refused (`ok: false`) beyond 64 subscribers.
   */
  | Ask<
      "subscribe",
      { subscriber: SubscriberRef },
      { ok: true } | { ok: false; code: "TOO_MANY_SUBSCRIBERS"; message: string }
    >
  | Tell<"unsubscribe", { subscriber: SubscriberRef }>;
