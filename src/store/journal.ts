/**
 * The journal as an actor host sees it: where events go before their effects may be seen, and come from after a
 * restart.
 *
 * Implementations: SQLite (`sqlite-journal.ts`), by way of the State Backend actor in a threaded system; memory with
 * faults in `src/sim`.
 */

/** One event as it is stored. `seq` counts from 1 in each actor, without gaps. */
export type StoredEvent = Readonly<{
  seq: number;
  atMs: number;
  /** Event of the actor: a discriminated union with a `type`. */
  event: Readonly<{ type: string }>;
  cause?: Readonly<{ message: string; from?: string; event?: Readonly<{ actor: string; seq: number }> }>;
}>;

export type StoredSnapshot = Readonly<{ seq: number; version: number; state: unknown }>;

export type ActorHistory = Readonly<{ snapshot?: StoredSnapshot; events: readonly StoredEvent[] }>;

export interface Journal {
  /**
   * Newest intact snapshot of the actor and every event after it; causes may be left out, for replay does not need
   * them.
   */
  load(actor: string): Promise<ActorHistory>;
  /**
   * Resolves when the events are durable, in the order of the calls. Waits while the disk is full. Rejects with
   * `JOURNAL_GAP` when `events[0].seq` does not follow what is stored, and with `JOURNAL_CLOSED`.
   */
  append(actor: string, events: readonly StoredEvent[]): Promise<void>;
  saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void>;
}
