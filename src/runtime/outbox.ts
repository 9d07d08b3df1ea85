/**
 * What a durable actor wants to let out, held until the events that led to it are written (R2): persist, then send.
 *
 * Pipelined: further batches are received while one is being written; what they want to send waits behind it, in order. They are written
 * together as soon as it is: the more there is to do, the more events share a write and the messages that ask for it. An actor that is not
 * durable has no outbox.
 */

import type { Journal, StoredEvent } from "../store/journal.js";
import type { Cause, SnapshotSpec, Typed } from "./actor.js";
import type { Answered } from "./answered.js";

export type Output = () => void;

/** Events, and the outputs that wait until they are written. */
type Batch = { readonly events: StoredEvent[]; readonly outputs: Output[]; isDurable: boolean };

/** As many events do not wait for the write before them any longer: what is not written is bounded by the journal. */
const waitingEventsMax = 4_096;

/** What a snapshot row holds: the definition's own part and the answers to remember. */
export type SnapshotState = Readonly<{ state: unknown; answered: [string, unknown][] }>;

/** A snapshot after this many events unless the definition says otherwise. */
const everyEventsDefault = 1_000;

export class Outbox {
  readonly #actor: string;
  readonly #journal: Journal;
  readonly #onAppended: () => void;
  readonly #onFailed: (thrown: unknown) => void;
  #events: StoredEvent[] = [];
  #outputs: Output[] = [];
  /** Batches whose events are being written, oldest first. */
  readonly #writing: Batch[] = [];
  /** Waits for the write before it. */
  #next: Batch | null = null;
  #eventsSinceSnapshot = 0;
  #onWritten: (() => void) | null = null;
  #isEnded = false;
  /** Sequence number of the newest event. */
  seq = 0;

  /**
   * `appended` is called when all events so far are on their way: the moment for a snapshot. `failed` is told when a write fails: what waits will
   * never leave.
   */
  constructor(actor: string, journal: Journal, on: Readonly<{ appended: () => void; failed: (thrown: unknown) => void }>) {
    this.#actor = actor;
    this.#journal = journal;
    this.#onAppended = on.appended;
    this.#onFailed = on.failed;
  }

  /** Recovery passed this event or snapshot. */
  replayed(seq: number, isEvent: boolean): void {
    this.seq = seq;
    if (isEvent) this.#eventsSinceSnapshot++;
  }

  emit(event: Typed, atMs: number, cause: Cause | null): void {
    this.#events.push({ seq: ++this.seq, atMs, event, ...(cause ? { cause } : {}) });
  }

  /** The newest event of this batch. */
  get lastSeq(): number | null {
    return this.#events.at(-1)?.seq ?? null;
  }

  add(output: Output): void {
    this.#outputs.push(output);
  }

  /** Has the events of the batch written; what is to go out follows them, and those before. */
  closeBatch(): void {
    const events = this.#events;
    const outputs = this.#outputs;
    if (events.length === 0 && outputs.length === 0) return;
    this.#outputs = [];
    if (events.length === 0) {
      const last = this.#next ?? this.#writing.at(-1);
      if (last) for (const output of outputs) last.outputs.push(output);
      else this.#run(outputs);
      return;
    }
    this.#events = [];
    if (this.#next) {
      for (const event of events) this.#next.events.push(event);
      for (const output of outputs) this.#next.outputs.push(output);
    } else this.#next = { events, outputs, isDurable: false };
    if (this.#writing.length === 0 || this.#next.events.length >= waitingEventsMax) this.#append();
  }

  #append(): void {
    const batch = this.#next;
    if (batch === null) return;
    this.#next = null;
    this.#writing.push(batch);
    this.#eventsSinceSnapshot += batch.events.length;
    this.#journal.append(this.#actor, batch.events).then(
      () => {
        batch.isDurable = true;
        this.#release();
      },
      (thrown: unknown) => {
        if (!this.#isEnded) this.#onFailed(thrown);
      },
    );
    this.#onAppended();
  }

  /** Lets out what waits behind writes that are done, in order (R2). */
  #release(): void {
    while (!this.#isEnded && this.#writing[0]?.isDurable === true) this.#run(this.#writing.shift()?.outputs ?? []);
    if (this.#isEnded || this.#writing.length > 0) return;
    this.#append();
    if (this.#writing.length === 0) this.#onWritten?.();
  }

  #run(outputs: readonly Output[]): void {
    for (const output of outputs) if (!this.#isEnded) output();
  }

  /** Saves a snapshot if enough events have come since the last. One that cannot be saved only makes replay longer. */
  snapshotIfDue(spec: SnapshotSpec<unknown>, state: unknown, answered: Answered | null): Promise<void> | null {
    const { everyEvents = everyEventsDefault } = spec;
    if (this.#eventsSinceSnapshot < everyEvents || this.#eventsSinceSnapshot < (spec.size?.(state) ?? 0) / 2) return null;
    this.#eventsSinceSnapshot = 0;
    const kept: SnapshotState = { state: spec.take(state), answered: answered?.entries() ?? [] };
    return this.#journal.saveSnapshot(this.#actor, { seq: this.seq, version: spec.version, state: kept });
  }

  /** When what was emitted is written and what waited for it is out. */
  written(): Promise<void> {
    if (this.#writing.length === 0 && this.#next === null) return Promise.resolve();
    return new Promise((resolve) => (this.#onWritten = resolve));
  }

  /** Nothing leaves any more. */
  end(): void {
    this.#isEnded = true;
    this.#onWritten?.();
  }
}
