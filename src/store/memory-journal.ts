/** A journal in memory, encoded as on a disk: for tests, the simulator, and embedders that need no durability. */

import { pack, unpack } from "msgpackr/pack";
import type { ActorHistory, Journal, StoredEvent, StoredSnapshot } from "./journal.js";

type History = { snapshot: Uint8Array | null; snapshotSeq: number; events: { seq: number; bytes: Uint8Array }[] };

export class MemoryJournal implements Journal {
  readonly #histories = new Map<string, History>();

  load(actor: string): Promise<ActorHistory> {
    const { snapshot, snapshotSeq, events } = this.#historyOf(actor);
    const later = events.filter(({ seq }) => seq > snapshotSeq).map(({ bytes }) => unpack(bytes) as StoredEvent);
    return Promise.resolve(snapshot ? { snapshot: unpack(snapshot) as StoredSnapshot, events: later } : { events: later });
  }

  append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    const history = this.#historyOf(actor);
    for (const event of events) {
      const next = (history.events.at(-1)?.seq ?? 0) + 1;
      if (event.seq < next) continue;
      if (event.seq > next) return Promise.reject(new Error(`JOURNAL_GAP: ${actor} has ${next - 1}, got ${event.seq}`));
      history.events.push({ seq: event.seq, bytes: pack(event) });
    }
    return Promise.resolve();
  }

  saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void> {
    const history = this.#historyOf(actor);
    history.snapshot = pack(snapshot);
    history.snapshotSeq = snapshot.seq;
    return Promise.resolve();
  }

  /** Every event of an actor, oldest first. */
  events(actor: string): StoredEvent["event"][] {
    return this.#historyOf(actor).events.map(({ bytes }) => (unpack(bytes) as StoredEvent).event);
  }

  #historyOf(actor: string): History {
    let history = this.#histories.get(actor);
    if (!history) this.#histories.set(actor, (history = { snapshot: null, snapshotSeq: 0, events: [] }));
    return history;
  }
}
