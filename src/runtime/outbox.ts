/**
 * What a durable actor wants to let out, held until the events that led to it are written (R2): persist, then send.
 *
 * Pipelined: the next batch is received while the last one is being written; what it wants to send waits behind it, in order. An actor that is
 * not durable has no outbox.
 */

import type { Journal, StoredEvent } from "../store/journal.js";
import type { Cause, SnapshotSpec, Typed } from "./actor.js";
import type { Answered } from "./answered.js";

export type Output = () => void;

/** Outputs that wait for events to be written. */
type Batch = { outputs: Output[]; isDurable: boolean };

/** What a snapshot row holds: the definition's own part and the answers to remember. */
export type SnapshotState = Readonly<{ state: unknown; answered: [string, unknown][] }>;

/** A snapshot after this many events unless the definition says otherwise. */
const everyEventsDefault = 1_000;

export class Outbox {
  readonly #actor: string;
  readonly #journal: Journal;
  readonly #onFailed: (thrown: unknown) => void;
  #events: StoredEvent[] = [];
  #outputs: Output[] = [];
  /** Batches whose events are being written, oldest first. */
  readonly #writing: Batch[] = [];
  #eventsSinceSnapshot = 0;
  #onWritten: (() => void) | null = null;
  #isEnded = false;
  /** Sequence number of the newest event. */
  seq = 0;

  /** `onFailed` is told when a write fails: what waits will never leave. */
  constructor(actor: string, journal: Journal, onFailed: (thrown: unknown) => void) {
    this.#actor = actor;
    this.#journal = journal;
    this.#onFailed = onFailed;
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

  /** Writes the events of the batch; what is to go out follows them, and those before. */
  closeBatch(): void {
    const events = this.#events;
    const outputs = this.#outputs;
    if (events.length === 0 && outputs.length === 0) return;
    this.#outputs = [];
    if (events.length === 0) {
      const last = this.#writing.at(-1);
      if (last) for (const output of outputs) last.outputs.push(output);
      else this.#run(outputs);
      return;
    }
    this.#events = [];
    this.#eventsSinceSnapshot += events.length;
    const batch: Batch = { outputs, isDurable: false };
    this.#writing.push(batch);
    this.#journal.append(this.#actor, events).then(
      () => {
        batch.isDurable = true;
        this.#release();
      },
      (thrown: unknown) => {
        if (!this.#isEnded) this.#onFailed(thrown);
      },
    );
  }

  /** Lets out what waits behind writes that are done, in order (R2). */
  #release(): void {
    while (!this.#isEnded && this.#writing[0]?.isDurable === true) this.#run(this.#writing.shift()?.outputs ?? []);
    if (this.#writing.length === 0) this.#onWritten?.();
  }

  #run(outputs: readonly Output[]): void {
    for (const output of outputs) if (!this.#isEnded) output();
  }

  /** Saves a snapshot if enough events have come since the last. One that cannot be saved only makes replay longer. */
  snapshotIfDue(spec: SnapshotSpec<unknown>, state: unknown, answered: Answered | null): Promise<void> | null {
    if (this.#eventsSinceSnapshot < (spec.everyEvents ?? everyEventsDefault)) return null;
    this.#eventsSinceSnapshot = 0;
    const kept: SnapshotState = { state: spec.take(state), answered: answered?.entries() ?? [] };
    return this.#journal.saveSnapshot(this.#actor, { seq: this.seq, version: spec.version, state: kept });
  }

  /** When what was emitted is written and what waited for it is out. */
  written(): Promise<void> {
    if (this.#writing.length === 0) return Promise.resolve();
    return new Promise((resolve) => (this.#onWritten = resolve));
  }

  /** Nothing leaves any more. */
  end(): void {
    this.#isEnded = true;
    this.#onWritten?.();
  }
}
