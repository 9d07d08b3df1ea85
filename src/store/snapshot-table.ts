/**
 * The rows of snapshots. The two newest of each actor are kept, so that a damaged newest one falls back to the other
 * and more events.
 *
 * Owns the SQL over `snapshots`. Knows no transactions: who writes has begun one.
 */

import type { Database, Statement } from "better-sqlite3";
import type { EncodedSnapshot } from "./encoded.js";
import { checksumOf } from "./row-codec.js";

type SnapshotRow = readonly [seq: number, commitSeq: number, version: number, payload: Uint8Array, checksum: number];

/** A snapshot as it was read: `snapshot` is null where the row is damaged. */
export type ReadSnapshot = Readonly<{ seq: number; commitSeq: number; snapshot: EncodedSnapshot | null }>;

const keptCount = 2;

export class SnapshotTable {
  readonly #save: Statement;
  readonly #read: Statement<[number], SnapshotRow>;
  readonly #delete: Statement<[number, number]>;
  readonly #deleteOld: Statement<[number, number, number]>;
  readonly #sequences: Statement<[number], number>;

  constructor(database: Database) {
    this.#save = database.prepare(
      "INSERT OR REPLACE INTO snapshots(actor_id, seq, commit_seq, version, payload, checksum) VALUES(?,?,?,?,?,?)",
    );
    this.#read = database
      .prepare<[number], SnapshotRow>(
        "SELECT seq, commit_seq, version, payload, checksum FROM snapshots WHERE actor_id = ? ORDER BY seq DESC",
      )
      .raw();
    this.#delete = database.prepare("DELETE FROM snapshots WHERE actor_id = ? AND seq = ?");
    this.#deleteOld = database.prepare(
      `DELETE FROM snapshots WHERE actor_id = ? AND seq NOT IN
         (SELECT seq FROM snapshots WHERE actor_id = ? ORDER BY seq DESC LIMIT ?)`,
    );
    this.#sequences = database
      .prepare<[number], number>("SELECT seq FROM snapshots WHERE actor_id = ? ORDER BY seq DESC")
      .pluck();
  }

  /** Replaces one of the same number, and deletes all but the two newest. */
  save(actorId: number, nameChecksum: number, commitSeq: number, snapshot: EncodedSnapshot): void {
    const { seq, version, payload } = snapshot;
    this.#save.run(actorId, seq, commitSeq, version, payload, checksumOf(payload, nameChecksum, seq, version));
    this.#deleteOld.run(actorId, actorId, keptCount);
  }

  delete(actorId: number, seq: number): void {
    this.#delete.run(actorId, seq);
  }

  /** Newest first; read one by one, as far as the caller goes. */
  *read(actorId: number, nameChecksum: number): Generator<ReadSnapshot> {
    for (const [seq, commitSeq, version, payload, checksum] of this.#read.all(actorId)) {
      const intact = checksumOf(payload, nameChecksum, seq, version) === checksum;
      yield { seq, commitSeq, snapshot: intact ? { seq, version, payload } : null };
    }
  }

  /** Numbers of the kept snapshots, newest first. */
  sequences(actorId: number): number[] {
    return this.#sequences.all(actorId);
  }
}
