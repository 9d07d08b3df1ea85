/**
 * The rows of events: how they are written and read back, for the writer and for readers.
 *
 * Owns the SQL over `actors` and `events`. Knows no transactions: who writes has begun one.
 */

import type { Database, Statement } from "better-sqlite3";
import type { StoredEvent } from "./journal.js";
import type { HistoryEvent } from "./journal-messages.js";
import type { EncodedEvent, ReplayEvent } from "./encoded.js";
import { checksumOf, checksumOfText, decodePayload } from "./row-codec.js";

/** Columns of a row in the order of `eventColumns`. */
export type EventRow = readonly [
  commitSeq: number,
  seq: number,
  atMs: number,
  type: string,
  payload: Uint8Array,
  causeMessage: string | null,
  causeFrom: string | null,
  causeActor: string | null,
  causeSeq: number | null,
  checksum: number,
];

type ReplayRow = readonly [...ReplayEvent, checksum: number];

export const eventColumns =
  "commit_seq, seq, at_ms, type, payload, cause_message, cause_from, cause_actor, cause_seq, checksum";

/** What groups of events there are: one line an actor and type. */
export type EventGroup = Readonly<{
  actorId: number;
  type: string;
  count: number;
  seqMax: number;
  commitSeqMax: number;
}>;

/** Rows that one statement writes: a call of SQLite costs as much as three of its rows. */
const rowsPerInsert = 16;
const columnsPerRow = 11;

export class EventTable {
  readonly #insertActor: Statement<[string]>;
  readonly #insert: Statement;
  readonly #insertMany: Statement;
  /** Values of rows that are not written yet: fewer than `rowsPerInsert` rows. */
  #values: unknown[] = [];
  readonly #stored: Statement<[number, number], EventRow>;
  readonly #after: Statement<[number, number, number], ReplayRow>;
  readonly #actors: Statement<[], readonly [number, string]>;
  readonly #groups: Statement<[], readonly [number, string, number, number, number]>;
  readonly #deleteOldest: Statement<[number, string, number, number]>;

  constructor(database: Database) {
    this.#insertActor = database.prepare("INSERT INTO actors(name) VALUES(?)");
    const into = `INSERT INTO events(actor_id, ${eventColumns}) VALUES`;
    const row = `(${Array.from({ length: columnsPerRow }, () => "?").join()})`;
    this.#insert = database.prepare(`${into} ${row}`);
    this.#insertMany = database.prepare(`${into} ${Array.from({ length: rowsPerInsert }, () => row).join()}`);
    this.#stored = database
      .prepare<[number, number], EventRow>(
        `SELECT ${eventColumns} FROM events WHERE actor_id = ? AND seq = ? ORDER BY commit_seq DESC LIMIT 1`,
      )
      .raw();
    this.#after = database
      .prepare<[number, number, number], ReplayRow>(
        `SELECT seq, at_ms, payload, checksum FROM events
         WHERE commit_seq > ? AND actor_id = ? AND seq > ? ORDER BY commit_seq`,
      )
      .raw();
    this.#actors = database.prepare<[], readonly [number, string]>("SELECT actor_id, name FROM actors").raw();
    this.#groups = database
      .prepare<[], readonly [number, string, number, number, number]>(
        "SELECT actor_id, type, count(*), max(seq), max(commit_seq) FROM events GROUP BY actor_id, type",
      )
      .raw();
    this.#deleteOldest = database.prepare(
      `DELETE FROM events WHERE commit_seq IN
         (SELECT commit_seq FROM events WHERE actor_id = ? AND type = ? AND seq <= ? ORDER BY commit_seq LIMIT ?)`,
    );
  }

  addActor(name: string): number {
    return Number(this.#insertActor.run(name).lastInsertRowid);
  }

  actors(): (readonly [actorId: number, name: string])[] {
    return this.#actors.all();
  }

  /** One pass over the whole (bounded) table. */
  groups(): EventGroup[] {
    return this.#groups
      .all()
      .map(([actorId, type, count, seqMax, commitSeqMax]) => ({ actorId, type, count, seqMax, commitSeqMax }));
  }

  /** Written with the next `flush`, at the latest. */
  insert(actorId: number, nameChecksum: number, commitSeq: number, event: EncodedEvent): void {
    const [seq, atMs, type, payload, causeMessage, causeFrom, causeActor, causeSeq] = event;
    const checksum = checksumOf(payload, nameChecksum, seq, atMs);
    this.#values.push(
      actorId,
      commitSeq,
      seq,
      atMs,
      type,
      payload,
      causeMessage,
      causeFrom,
      causeActor,
      causeSeq,
      checksum,
    );
    if (this.#values.length === rowsPerInsert * columnsPerRow) {
      this.#insertMany.run(...this.#values);
      this.#values = [];
    }
  }

  /** Writes all that was inserted. Due before the transaction ends, and before rows are read within it. */
  flush(): void {
    for (let at = 0; at < this.#values.length; at += columnsPerRow) {
      this.#insert.run(...this.#values.slice(at, at + columnsPerRow));
    }
    this.#values = [];
  }

  /** Forgets what was inserted and not flushed, after the transaction failed. */
  discard(): void {
    this.#values = [];
  }

  /** The event that is stored under this number; cheap for a recent one. */
  stored(actorId: number, seq: number): EventRow | null {
    this.flush();
    return this.#stored.get(actorId, seq) ?? null;
  }

  /**
   * The actor's events with numbers above `seq`, none of which was committed before `commitSeq`; null for one that is
   * damaged.
   */
  after(actorId: number, nameChecksum: number, seq: number, commitSeq: number): (ReplayEvent | null)[] {
    return this.#after.all(commitSeq, actorId, seq).map(([number, atMs, payload, checksum]) => {
      return checksumOf(payload, nameChecksum, number, atMs) === checksum ? [number, atMs, payload] : null;
    });
  }

  /** Deletes the oldest events of a type up to number `seqMax`, at most `count`; says how many there were. */
  deleteOldest(actorId: number, type: string, seqMax: number, count: number): number {
    return this.#deleteOldest.run(actorId, type, seqMax, count).changes;
  }
}

/** Whether the row still has the checksum that it was written with. */
export function isIntact(row: EventRow, nameChecksum: number): boolean {
  return checksumOf(row[4], nameChecksum, row[1], row[2]) === row[9];
}

/** A row as readers of the history see it, damaged or not. */
export function historyEventOf(actor: string, row: EventRow): HistoryEvent {
  const intact = isIntact(row, checksumOfText(actor));
  const cause = causeOf(row);
  const seen = { commitSeq: row[0], actor, seq: row[1], atMs: row[2], type: row[3], isIntact: intact };
  const event = intact ? (decodePayload(row[4]) as StoredEvent["event"]) : null;
  return cause === null ? { ...seen, event } : { ...seen, event, cause };
}

function causeOf(row: EventRow): NonNullable<StoredEvent["cause"]> | null {
  const [, , , , , message, from, actor, seq] = row;
  if (message === null) return null;
  return {
    message,
    ...(from === null ? {} : { from }),
    ...(actor === null || seq === null ? {} : { event: { actor, seq } }),
  };
}
