/**
 * The tables of a state file, and the way from every older version to the newest.
 *
 * - S1  A released step is never edited; a change is a new step at the end.
 * - S2  Events have one b-tree, in the order of commits. An index by actor was measured at 0.4 of the write rate (64
 *       actors dirty 64 pages a commit), so readers of one actor scan from its snapshot's `commit_seq`;
 *       docs/decisions/0003 has the figures.
 */

import type { Database } from "better-sqlite3";

/** Marks the file as Drover's (`PRAGMA application_id`): "DRVR". */
export const stateApplicationId = 0x44525652;

const steps: readonly string[] = [
  // 1: journal and snapshots.
  `CREATE TABLE actors(actor_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
   CREATE TABLE events(
     commit_seq INTEGER PRIMARY KEY,
     actor_id INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     at_ms REAL NOT NULL,
     type TEXT NOT NULL,
     payload BLOB NOT NULL,
     cause_message TEXT,
     cause_from TEXT,
     cause_actor TEXT,
     cause_seq INTEGER,
     checksum INTEGER NOT NULL
   ) STRICT;
   CREATE TABLE snapshots(
     actor_id INTEGER NOT NULL,
     seq INTEGER NOT NULL,
     commit_seq INTEGER NOT NULL,
     version INTEGER NOT NULL,
     payload BLOB NOT NULL,
     checksum INTEGER NOT NULL,
     PRIMARY KEY(actor_id, seq)
   ) STRICT;`,
  // 2: who wrote when, for the message to whoever finds the file locked. The newest 100 are kept.
  `CREATE TABLE writers(
     writer_id INTEGER PRIMARY KEY,
     pid INTEGER NOT NULL,
     host TEXT NOT NULL,
     opened_at_ms REAL NOT NULL
   ) STRICT;`,
];

/** The version that this Drover writes. */
export const schemaVersionNewest = steps.length;

/** Version of an open file; 0 for one without tables. */
export function schemaVersionOf(database: Database): number {
  const hasTable = database
    .prepare("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_versions'")
    .get();
  if (hasTable === undefined) return 0;
  return Number(database.prepare("SELECT coalesce(max(version), 0) FROM schema_versions").pluck().get());
}

/** Brings the file to the newest version, each step in one transaction; `nowMs` is written beside the version. */
export function migrate(database: Database, nowMs: number): void {
  for (let version = schemaVersionOf(database) + 1; version <= schemaVersionNewest; version++) {
    const step = steps[version - 1] ?? "";
    database.transaction(() => {
      if (version === 1) {
        database.pragma(`application_id = ${stateApplicationId}`);
        database.exec("CREATE TABLE schema_versions(version INTEGER PRIMARY KEY, migrated_at_ms REAL NOT NULL) STRICT");
      }
      database.exec(step);
      database.prepare("INSERT INTO schema_versions VALUES(?, ?)").run(version, nowMs);
    })();
  }
}
