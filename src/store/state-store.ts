/**
 * The job's state as one writer sees it: groups of operations go in as one transaction each, an actor's history comes
 * out. Synchronous, and knows nothing of waiting; `SqliteJournal` gives it its groups and tries again what did not fit
 * on the disk.
 *
 * - T1  A group is all or nothing: when `commit` throws, neither the file nor what is remembered of it has changed.
 * - T2  An operation that is refused leaves no trace, and does not hinder the others of its group.
 * - T3  The events of an actor have the numbers 1, 2, 3 …; a number is given once.
 * - T4  What an actor can be recovered from is never pruned: its two newest snapshots and all events behind the older
 *       of them.
 */

import { isDeepStrictEqual } from "node:util";
import type { EncodedEvent, EncodedHistory, Operation, ReplayEvent } from "./encoded.js";
import { EventTable, isIntact } from "./event-table.js";
import type { JournalOutcome, JournalRefusal, JournalRefusalCode } from "./journal-messages.js";
import { checksumOfText, decodePayload } from "./row-codec.js";
import { SnapshotTable } from "./snapshot-table.js";
import { stateError } from "./state-errors.js";
import type { Durability } from "./durability.js";
import { openStateFile, type StateFile } from "./state-file.js";

export interface StoreOptions {
  /** The state file; made, with its folder, where there is none. */
  readonly path: string;
  /** Default `power`. */
  readonly durability?: Durability;
  /** How long to wait for a master that is about to end: 0 to 60,000; default 1,000. */
  readonly lockWaitMs?: number;
  /**
   * Of each type of event of each actor this many of the newest are kept as history; older ones are deleted once two
   * snapshots are newer than they (T4). 100 to 10,000,000; default 10,000.
   */
  readonly historyEventsMax?: number;
}

/** What is remembered of an actor. */
type Head = {
  readonly actorId: number;
  readonly nameChecksum: number;
  seq: number;
  /** Number of stored events by type. */
  readonly counts: Map<string, number>;
  /** Numbers of snapshots that were found damaged; deleted when the next is saved. */
  damagedSnapshots: readonly number[];
};

/** What the open transaction has changed so far in memory. */
type Staged = Readonly<{
  events: { head: Head; type: string }[];
  seqsBefore: Map<Head, number>;
  added: string[];
  snapshots: Head[];
}>;

export class StateStore {
  readonly path: string;
  readonly #historyEventsMax: number;
  readonly #file: StateFile;
  readonly #events: EventTable;
  readonly #snapshots: SnapshotTable;
  readonly #begin: () => void;
  readonly #commit: () => void;
  readonly #heads = new Map<string, Head>();
  readonly #pruneDue = new Set<Head>();
  #staged: Staged = { events: [], seqsBefore: new Map(), added: [], snapshots: [] };
  #commitSeq = 0;

  /** Throws what `openStateFile` throws. */
  constructor(options: StoreOptions) {
    this.path = options.path;
    this.#historyEventsMax = options.historyEventsMax ?? 10_000;
    this.#file = openStateFile(options.path, options.durability ?? "power", options.lockWaitMs ?? 1_000);
    const { database } = this.#file;
    this.#events = new EventTable(database);
    this.#snapshots = new SnapshotTable(database);
    const begin = database.prepare("BEGIN IMMEDIATE");
    const commit = database.prepare("COMMIT");
    this.#begin = () => void begin.run();
    this.#commit = () => void commit.run();
    this.#readHeads();
  }

  /** Position of the newest event; 0 where there is none. */
  get commitSeq(): number {
    return this.#commitSeq;
  }

  get actorCount(): number {
    return this.#heads.size;
  }

  /** Number of the actor's newest event; 0 where there is none. */
  seqOf(actor: string): number {
    return this.#heads.get(actor)?.seq ?? 0;
  }

  /**
   * Writes a group in one transaction; the outcomes stand in the order of the operations. Throws SQLite's errors (T1).
   */
  commit(operations: readonly Operation[]): JournalOutcome[] {
    const commitSeqBefore = this.#commitSeq;
    this.#staged = { events: [], seqsBefore: new Map(), added: [], snapshots: [] };
    try {
      this.#begin();
      const outcomes = operations.map((operation) =>
        operation.type === "append" ? this.#append(operation) : this.#saveSnapshot(operation),
      );
      this.#events.flush();
      this.#commit();
      this.#remember();
      return outcomes;
    } catch (error) {
      this.#commitSeq = commitSeqBefore;
      this.#undo();
      throw error;
    }
  }

  /**
   * The newest intact snapshot of the actor and every event after it. `onDamagedSnapshot` hears of one that had to be
   * passed over. Events come without their causes, which replay does not need. Throws STATE_DAMAGED when the history
   * cannot be read without a hole.
   */
  load(actor: string, onDamagedSnapshot: (seq: number) => void): EncodedHistory {
    const head = this.#heads.get(actor);
    if (head === undefined) return { snapshot: null, events: [] };
    const damaged: number[] = [];
    head.damagedSnapshots = damaged;
    for (const { seq, commitSeq, snapshot } of this.#snapshots.read(head.actorId, head.nameChecksum)) {
      if (snapshot !== null) return { snapshot, events: this.#eventsAfter(actor, head, seq, commitSeq) };
      damaged.push(seq);
      onDamagedSnapshot(seq);
    }
    return { snapshot: null, events: this.#eventsAfter(actor, head, 0, 0) };
  }

  /**
   * Deletes history beyond its bound, after a snapshot made that possible; true when there was any. Throws SQLite's
   * errors.
   */
  prune(): boolean {
    let hasPruned = false;
    for (const head of this.#pruneDue) {
      const older = this.#snapshots.sequences(head.actorId)[1];
      for (const [type, count] of older === undefined ? [] : head.counts) {
        const excess = count - this.#historyEventsMax;
        if (excess < this.#historyEventsMax / 10 || older === undefined) continue;
        head.counts.set(type, count - this.#events.deleteOldest(head.actorId, type, older, excess)); // T4
        hasPruned = true;
      }
      this.#pruneDue.delete(head);
    }
    return hasPruned;
  }

  close(): void {
    this.#file.close();
  }

  #readHeads(): void {
    const byId = new Map<number, Head>();
    for (const [actorId, name] of this.#events.actors()) {
      const head: Head = {
        actorId,
        nameChecksum: checksumOfText(name),
        seq: 0,
        counts: new Map(),
        damagedSnapshots: [],
      };
      byId.set(actorId, head);
      this.#heads.set(name, head);
    }
    for (const group of this.#events.groups()) {
      this.#commitSeq = Math.max(this.#commitSeq, group.commitSeqMax);
      const head = byId.get(group.actorId);
      if (head === undefined)
        throw stateError(
          "STATE_DAMAGED",
          this.path,
          `Events of an actor without a name (${group.actorId}) are stored.`,
        );
      head.seq = Math.max(head.seq, group.seqMax);
      head.counts.set(group.type, group.count);
    }
  }

  #append({ actor, events }: Extract<Operation, { type: "append" }>): JournalOutcome {
    const storedSeq = this.seqOf(actor);
    const firstSeq = events[0]?.[0] ?? storedSeq + 1;
    if (firstSeq > storedSeq + 1 || firstSeq < 1 || events.some(([seq], index) => seq !== firstSeq + index)) {
      const told = `Event ${firstSeq} of ${actor} does not follow ${storedSeq}, or its followers are not numbered on.`;
      return refusal("JOURNAL_GAP", told);
    }
    const fresh: EncodedEvent[] = [];
    for (const event of events) {
      if (event[0] > storedSeq) fresh.push(event);
      else if (!this.#isStored(actor, event)) {
        const told = `Something else is stored as event ${event[0]} of ${actor}, or it is history that was pruned.`;
        return refusal("JOURNAL_CONFLICT", told);
      }
    }
    if (fresh.length > 0) this.#insert(this.#heads.get(actor) ?? this.#addActor(actor), fresh);
    return { ok: true };
  }

  #insert(head: Head, events: readonly EncodedEvent[]): void {
    if (!this.#staged.seqsBefore.has(head)) this.#staged.seqsBefore.set(head, head.seq);
    for (const event of events) {
      this.#events.insert(head.actorId, head.nameChecksum, ++this.#commitSeq, event);
      this.#staged.events.push({ head, type: event[2] });
      head.seq = event[0]; // T3
    }
  }

  #saveSnapshot({ actor, snapshot }: Extract<Operation, { type: "save-snapshot" }>): JournalOutcome {
    const storedSeq = this.seqOf(actor);
    if (snapshot.seq > storedSeq || snapshot.seq < 0) {
      const told = `The snapshot of ${actor} at event ${snapshot.seq} is ahead of the stored ${storedSeq}.`;
      return refusal("JOURNAL_GAP", told);
    }
    const head = this.#heads.get(actor) ?? this.#addActor(actor);
    const newest = this.#snapshots.sequences(head.actorId).find((seq) => !head.damagedSnapshots.includes(seq));
    if (newest !== undefined && newest > snapshot.seq) return { ok: true };
    for (const seq of head.damagedSnapshots) this.#snapshots.delete(head.actorId, seq);
    const commitSeq = snapshot.seq === 0 ? 0 : (this.#events.stored(head.actorId, snapshot.seq)?.[0] ?? 0);
    this.#snapshots.save(head.actorId, head.nameChecksum, commitSeq, snapshot);
    this.#staged.snapshots.push(head);
    return { ok: true };
  }

  #addActor(name: string): Head {
    const actorId = this.#events.addActor(name);
    const head: Head = { actorId, nameChecksum: checksumOfText(name), seq: 0, counts: new Map(), damagedSnapshots: [] };
    this.#heads.set(name, head);
    this.#staged.added.push(name);
    return head;
  }

  #isStored(actor: string, event: EncodedEvent): boolean {
    const head = this.#heads.get(actor);
    const row = head === undefined ? null : this.#events.stored(head.actorId, event[0]);
    if (head === undefined || row === null || !isIntact(row, head.nameChecksum)) return false;
    const [seq, atMs, type, payload, ...cause] = event;
    const [, storedSeq, storedAtMs, storedType, storedPayload, ...rest] = row;
    const isSame = isDeepStrictEqual([seq, atMs, type, cause], [storedSeq, storedAtMs, storedType, rest.slice(0, -1)]);
    return isSame && isDeepStrictEqual(decodePayload(payload), decodePayload(storedPayload));
  }

  #eventsAfter(actor: string, head: Head, seq: number, commitSeq: number): ReplayEvent[] {
    let expected = seq;
    const events: ReplayEvent[] = [];
    for (const event of this.#events.after(head.actorId, head.nameChecksum, seq, commitSeq)) {
      expected++;
      if (event?.[0] !== expected) {
        const told = `Event ${expected} of ${actor} is missing or damaged; its state cannot be recovered.`;
        throw stateError("STATE_DAMAGED", this.path, told);
      }
      events.push(event);
    }
    if (expected === head.seq) return events;
    const told = `The events of ${actor} end at ${head.seq}, its snapshot or events at ${expected}.`;
    throw stateError("STATE_DAMAGED", this.path, told);
  }

  #remember(): void {
    for (const { head, type } of this.#staged.events) head.counts.set(type, (head.counts.get(type) ?? 0) + 1);
    for (const head of this.#staged.snapshots) {
      head.damagedSnapshots = [];
      this.#pruneDue.add(head);
    }
  }

  // T1
  #undo(): void {
    const { database } = this.#file;
    this.#events.discard();
    if (database.inTransaction) database.exec("ROLLBACK");
    for (const [head, seq] of this.#staged.seqsBefore) head.seq = seq;
    for (const actor of this.#staged.added) this.#heads.delete(actor);
  }
}

function refusal(code: JournalRefusalCode, message: string): JournalRefusal {
  return { ok: false, code, message };
}
