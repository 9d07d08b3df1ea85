/**
 * A disk in virtual time: writes take a while, become durable in their order, and may be cut off by a crash.
 *
 * - V1  A write is one record with a checksum: after a crash it is there as a whole or not at all. One that was being
 *       written may lie torn at the
 *       end; it is seen by its checksum and dropped when the actor's history is loaded.
 * - V2  What a crash leaves of the writes under way is a prefix, for one writer writes them in order.
 * - V3  A write whose promise was settled is never lost.
 */

import { crc32 } from "node:zlib";
import type { ActorHistory, Journal, StoredEvent, StoredSnapshot } from "../store/journal.js";
import { decodePayload, encodePayload } from "../store/row-codec.js";
import type { SimClock } from "./sim-clock.js";
import type { SimRandom } from "./sim-random.js";

type Content =
  | Readonly<{ kind: "events"; events: readonly StoredEvent[] }>
  | Readonly<{ kind: "snapshot"; snapshot: StoredSnapshot }>;
type Row = Readonly<{ bytes: Uint8Array; checksum: number }>;
type Write = Readonly<{ content: Content; row: Row; settle: () => void }>;
type Disk = { rows: Row[]; pending: Write[]; isBusy: boolean; life: number; seq: number };

export type DiskFaults = Readonly<{
  /** Milliseconds that a write takes, from 0 to this. */
  writeMsMax: number;
  /** How often a write takes a hundred times as long. */
  stallChance: number;
}>;

export class SimJournal implements Journal {
  readonly #clock: SimClock;
  readonly #random: SimRandom;
  readonly #faults: DiskFaults;
  readonly #onDurable: (actor: string, event: StoredEvent["event"]) => void;
  readonly #disks = new Map<string, Disk>();
  readonly #traps = new Map<string, () => void>();
  tornRows = 0;

  /** `onDurable` hears of each event at the moment from which on no crash can lose it. */
  constructor(
    clock: SimClock,
    random: SimRandom,
    faults: DiskFaults,
    onDurable: (actor: string, event: StoredEvent["event"]) => void,
  ) {
    this.#clock = clock;
    this.#random = random;
    this.#faults = faults;
    this.#onDurable = onDurable;
  }

  load(actor: string): Promise<ActorHistory> {
    const disk = this.#diskOf(actor);
    const intact = disk.rows.filter(({ bytes, checksum }) => crc32(bytes) === checksum); // V1
    this.tornRows += disk.rows.length - intact.length;
    disk.rows = intact;
    const contents = intact.map(({ bytes }) => decodePayload(bytes) as Content);
    const snapshot = contents.flatMap((content) => (content.kind === "snapshot" ? [content.snapshot] : [])).at(-1);
    const events = contents
      .flatMap((content) => (content.kind === "events" ? content.events : []))
      .filter(({ seq }) => seq > (snapshot?.seq ?? 0));
    return Promise.resolve(snapshot === undefined ? { events } : { snapshot, events });
  }

  append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    return this.#write(actor, { kind: "events", events });
  }

  saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void> {
    return this.#write(actor, { kind: "snapshot", snapshot });
  }

  /**
   * The writer of this actor's writes is gone: some of them are on the disk, one perhaps in part, the rest is lost
   * (V2).
   */
  crash(actor: string): void {
    const disk = this.#diskOf(actor);
    disk.life += 1;
    disk.isBusy = false;
    const pending = disk.pending.splice(0);
    const written = this.#random.between(0, pending.length);
    for (const write of pending.slice(0, written)) this.#store(actor, disk, write);
    const torn = pending[written];
    if (torn === undefined || this.#random.chance(0.5)) return;
    const length = this.#random.between(0, torn.row.bytes.length - 1);
    disk.rows.push({ bytes: torn.row.bytes.subarray(0, length), checksum: torn.row.checksum });
  }

  /** Calls back in the middle of the next write of this actor. */
  atNextWrite(actor: string, call: () => void): void {
    this.#traps.set(actor, call);
  }

  #write(actor: string, content: Content): Promise<void> {
    const bytes = encodePayload(content);
    return new Promise((settle) => {
      const disk = this.#diskOf(actor);
      disk.pending.push({ content, row: { bytes, checksum: crc32(bytes) }, settle });
      const trap = this.#traps.get(actor);
      this.#traps.delete(actor);
      if (trap) this.#clock.setTimer(0, trap);
      if (!disk.isBusy) this.#writeNext(actor, disk);
    });
  }

  #writeNext(actor: string, disk: Disk): void {
    const { writeMsMax, stallChance } = this.#faults;
    const delayMs = this.#random.between(0, writeMsMax) * (this.#random.chance(stallChance) ? 100 : 1);
    const { life } = disk;
    disk.isBusy = true;
    this.#clock.setTimer(delayMs, () => {
      if (disk.life !== life) return;
      disk.isBusy = false;
      const write = disk.pending.shift();
      if (write === undefined) return;
      this.#store(actor, disk, write);
      write.settle(); // V3
      if (disk.pending.length > 0) this.#writeNext(actor, disk);
    });
  }

  #store(actor: string, disk: Disk, { content, row }: Write): void {
    disk.rows.push(row);
    if (content.kind === "snapshot") return;
    for (const { seq, event } of content.events) {
      if (seq !== disk.seq + 1) throw new Error(`JOURNAL_GAP: ${actor} has ${disk.seq} events and got number ${seq}`);
      disk.seq = seq;
      this.#onDurable(actor, event);
    }
  }

  #diskOf(actor: string): Disk {
    const disk = this.#disks.get(actor) ?? { rows: [], pending: [], isBusy: false, life: 0, seq: 0 };
    this.#disks.set(actor, disk);
    return disk;
  }
}
