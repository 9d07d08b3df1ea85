/**
 * The read side of a job's history: for commands, the event stream and `why`, in any thread or process, while the
 * writer lives and when it is dead.
 *
 * - H1  A reader never waits for the writer nor makes it wait: each query is one short read transaction.
 * - H2  Events are seen in the order of commits, none twice and none late: what is behind a position that was read
 *       never changes, but for history that is pruned.
 * - H3  A damaged row is shown as such and does not end the reading.
 */

import { setTimeout as delay } from "node:timers/promises";
import { existsSync } from "node:fs";
import Database from "better-sqlite3";
import { BoundaryError } from "../base/errors.js";
import { eventColumns, type EventRow, historyEventOf } from "./event-table.js";
import type { HistoryEvent, HistoryFilter, HistoryQuery } from "./journal-messages.js";
import { stateError, stateErrorOf } from "./state-errors.js";
import { checkStateVersion } from "./state-file.js";

export interface FollowOptions extends HistoryFilter {
  /** Begin behind this position; default 0, the oldest event. */
  readonly afterCommitSeq?: number;
  /** How often the file is asked whether it has changed: 10 to 60,000; default 200. `wake` asks at once. */
  readonly pollMs?: number;
  /** Ends the following. */
  readonly signal?: AbortSignal;
}

/** The longest chain of causes that `why` walks. */
export const causesMax = 100;
const limitMax = 10_000;
const typesMax = 32;

/** Asked once a query; the rows are then compared by number, in the order of commits (S2 of the schema). */
const ofActor = "events.actor_id = (SELECT actor_id FROM actors WHERE name = ?)";

type NamedRow = readonly [...EventRow, name: string];

export class JournalReader {
  readonly #database: Database.Database;
  readonly #path: string;
  #wakeFollowers = new AbortController();

  /** Throws `BoundaryError`: STATE_NOT_FOUND, STATE_DAMAGED, STATE_NEWER, STATE_IO. */
  constructor(path: string) {
    this.#path = path;
    if (!existsSync(path)) throw stateError("STATE_NOT_FOUND", path, "There is no state of such a job.");
    try {
      this.#database = new Database(path, { readonly: true, fileMustExist: true, timeout: 1_000 });
    } catch (error) {
      throw stateErrorOf(error, path);
    }
    try {
      checkStateVersion(this.#database, path);
    } catch (error) {
      this.#database.close();
      throw stateErrorOf(error, path);
    }
  }

  /** Position of the newest event; 0 where there is none. */
  headCommitSeq(): number {
    return this.#read(() =>
      Number(this.#database.prepare("SELECT coalesce(max(commit_seq), 0) FROM events").pluck().get()),
    );
  }

  /** Reads the whole file. Throws `BoundaryError` STATE_DAMAGED where it is. */
  check(): void {
    const found = this.#read(() => this.#database.pragma("quick_check(1)", { simple: true }));
    if (found !== "ok") throw stateError("STATE_DAMAGED", this.#path, `The job's state file is damaged: ${String(found)}.`);
  }

  /** Names of the actors that have a history. */
  actors(): string[] {
    return this.#read(() =>
      this.#database.prepare<[], string>("SELECT name FROM actors ORDER BY actor_id").pluck().all(),
    );
  }

  /** Events in the order that the query asks for. Throws HISTORY_QUERY for a query out of its bounds. */
  read(query: HistoryQuery): HistoryEvent[] {
    const limit = query.limit ?? 1_000;
    const types = query.types ?? [];
    if (!Number.isInteger(limit) || limit < 1 || limit > limitMax) {
      throw new BoundaryError("HISTORY_QUERY", "limit is out of its range.", {
        value: String(limit),
        allowed: `1 to ${limitMax}`,
      });
    }
    if (types.length > typesMax) {
      throw new BoundaryError("HISTORY_QUERY", "Too many types.", {
        value: String(types.length),
        allowed: `up to ${typesMax}`,
      });
    }
    const isForward = query.order === "oldest-first";
    const from = isForward ? (query.afterCommitSeq ?? 0) : (query.beforeCommitSeq ?? Number.MAX_SAFE_INTEGER);
    const where = [
      `commit_seq ${isForward ? ">" : "<"} ?`,
      ...(query.actor === undefined ? [] : [ofActor]),
      ...(types.length === 0 ? [] : [`type IN (${types.map(() => "?").join()})`]),
    ].join(" AND ");
    const values = [from, ...(query.actor === undefined ? [] : [query.actor]), ...types, limit];
    return this.#select(`${where} ORDER BY commit_seq ${isForward ? "ASC" : "DESC"} LIMIT ?`, values);
  }

  /** The event of an actor by its number; null when there is none (any more). */
  find(actor: string, seq: number): HistoryEvent | null {
    return this.#select(`${ofActor} AND seq = ? ORDER BY commit_seq DESC LIMIT 1`, [actor, seq])[0] ?? null;
  }

  /**
   * The event and what led to it: effect first, at most `causesMax`, as far as history is kept. Empty when there is no
   * such event.
   */
  why(actor: string, seq: number): HistoryEvent[] {
    const chain: HistoryEvent[] = [];
    let event = this.find(actor, seq);
    while (event !== null && chain.length < causesMax) {
      chain.push(event);
      const earlier: HistoryEvent["cause"] = event.cause;
      if (earlier?.event === undefined) break;
      const { actor: name, seq: number } = earlier.event;
      if (chain.some((seen) => seen.actor === name && seen.seq === number)) break;
      event = this.find(name, number);
    }
    return chain;
  }

  /** Events as they come, until `signal` is aborted or the reader closed. */
  async *follow(options: FollowOptions = {}): AsyncGenerator<HistoryEvent, void, undefined> {
    const { afterCommitSeq = 0, pollMs = 200, signal, ...filter } = options;
    let position = afterCommitSeq;
    let version = -1;
    const isOver = (): boolean => signal?.aborted === true || !this.#database.open;
    while (!isOver()) {
      const changed = this.#dataVersion();
      if (changed !== version) {
        version = changed;
        const head = this.headCommitSeq();
        for (let page = this.#page(filter, position); page.length > 0; page = this.#page(filter, position)) {
          for (const event of page) {
            position = event.commitSeq;
            yield event;
            if (isOver()) return;
          }
        }
        position = Math.max(position, head);
      }
      await this.#sleep(pollMs, signal);
    }
  }

  /** Makes those who follow look at once: for who is told that there is something new. */
  wake(): void {
    this.#wakeFollowers.abort();
    this.#wakeFollowers = new AbortController();
  }

  close(): void {
    this.#database.close();
    this.wake();
  }

  #page(filter: HistoryFilter, position: number): HistoryEvent[] {
    return this.#database.open ? this.read({ ...filter, order: "oldest-first", afterCommitSeq: position }) : [];
  }

  async #sleep(ms: number, signal: AbortSignal | undefined): Promise<void> {
    const ends = signal === undefined ? [this.#wakeFollowers.signal] : [this.#wakeFollowers.signal, signal];
    try {
      await delay(ms, undefined, { signal: AbortSignal.any(ends) });
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "AbortError") throw error;
    }
  }

  #dataVersion(): number {
    return this.#read(() => Number(this.#database.pragma("data_version", { simple: true })));
  }

  #select(where: string, values: readonly unknown[]): HistoryEvent[] {
    const sql = `SELECT ${eventColumns}, name FROM events CROSS JOIN actors USING (actor_id) WHERE ${where}`;
    return this.#read(() =>
      this.#database
        .prepare<unknown[], NamedRow>(sql)
        .raw()
        .all(...values),
    ).map((row) => {
      const [commitSeq, seq, atMs, type, payload, message, from, causeActor, causeSeq, checksum, name] = row;
      return historyEventOf(name, [commitSeq, seq, atMs, type, payload, message, from, causeActor, causeSeq, checksum]);
    });
  }

  #read<Result>(query: () => Result): Result {
    try {
      return query();
    } catch (error) {
      throw stateErrorOf(error, this.#path);
    }
  }
}
