import { expect } from "chai";
import { existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import Database from "better-sqlite3";
import { BoundaryError } from "../../src/base/errors.js";
import { JournalReader } from "../../src/store/journal-reader.js";
import { encodePayload, checksumOf, checksumOfText } from "../../src/store/row-codec.js";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { schemaVersionNewest, stateApplicationId } from "../../src/store/state-schema.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

/** The schema as version 1 wrote it: frozen here, so that an edited step is seen. */
const schemaOfVersion1 = `
  PRAGMA application_id = ${stateApplicationId};
  CREATE TABLE schema_versions(version INTEGER PRIMARY KEY, migrated_at_ms REAL NOT NULL) STRICT;
  CREATE TABLE actors(actor_id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
  CREATE TABLE events(commit_seq INTEGER PRIMARY KEY, actor_id INTEGER NOT NULL, seq INTEGER NOT NULL,
    at_ms REAL NOT NULL, type TEXT NOT NULL, payload BLOB NOT NULL, cause_message TEXT, cause_from TEXT, cause_actor TEXT, cause_seq INTEGER,
    checksum INTEGER NOT NULL) STRICT;
  CREATE TABLE snapshots(actor_id INTEGER NOT NULL, seq INTEGER NOT NULL, commit_seq INTEGER NOT NULL,
    version INTEGER NOT NULL, payload BLOB NOT NULL, checksum INTEGER NOT NULL, PRIMARY KEY(actor_id, seq)) STRICT;
  INSERT INTO schema_versions VALUES(1, 0);
  INSERT INTO actors VALUES(1, 'a');`;

describe("opening the state file", () => {
  afterEach(removeStateFolders);

  it("makes the file, with its folder, and leaves nothing else behind", async () => {
    const path = `${freshStatePath()}.d/deeper/state.db`;
    await SqliteJournal.open({ path }).close();
    expect(existsSync(path)).to.equal(true);
    expect(existsSync(`${path}.new`)).to.equal(false);
    rmSync(`${path}.d`, { recursive: true, force: true });
  });

  it("begins again where making the file was cut off", async () => {
    const path = freshStatePath();
    writeFileSync(`${path}.new`, "half a file");
    const journal = SqliteJournal.open({ path });
    await journal.append("a", countedEvents(1, 1));
    await journal.close();
  });

  it("brings a file of version 1 to the newest schema, with its events", async () => {
    const path = freshStatePath();
    fileOfVersion1(path);
    const journal = SqliteJournal.open({ path });
    expect((await journal.load("a")).events).to.deep.equal(replayedEvents(1, 3));
    await journal.append("a", countedEvents(4, 4));
    await journal.close();
    const database = new Database(path, { readonly: true });
    expect(database.prepare("SELECT version FROM schema_versions ORDER BY version").pluck().all()).to.deep.equal(
      Array.from({ length: schemaVersionNewest }, (_, index) => index + 1),
    );
    expect(database.prepare("SELECT pid FROM writers").pluck().all()).to.deep.equal([process.pid]);
    database.close();
  });

  it("lets a reader read a file of version 1 as it is", () => {
    const path = freshStatePath();
    fileOfVersion1(path);
    const reader = new JournalReader(path);
    expect(reader.read({ order: "oldest-first" })).to.have.length(3);
    reader.close();
  });

  it("says STATE_NEWER for a file of a newer schema, and leaves it alone", async () => {
    const path = freshStatePath();
    await SqliteJournal.open({ path }).close();
    const database = new Database(path);
    database.exec(`INSERT INTO schema_versions VALUES(${schemaVersionNewest + 1}, 0)`);
    database.close();
    const before = readFileSync(path);
    expectError(() => SqliteJournal.open({ path }), "STATE_NEWER", `schema ${schemaVersionNewest + 1}`);
    expectError(() => new JournalReader(path), "STATE_NEWER", "schema");
    expect(readFileSync(path).equals(before)).to.equal(true);
  });

  it("says STATE_DAMAGED for a file that is no database, empty or foreign, and for a log without its file", () => {
    const noise = freshStatePath();
    writeFileSync(noise, "This is not a database, however long one looks at it. ".repeat(100));
    expectError(() => SqliteJournal.open({ path: noise }), "STATE_DAMAGED", "damaged");
    const empty = freshStatePath();
    writeFileSync(empty, "");
    expectError(() => SqliteJournal.open({ path: empty }), "STATE_DAMAGED", "empty");
    const foreign = freshStatePath();
    const other = new Database(foreign);
    other.exec("CREATE TABLE recipes(name TEXT)");
    other.close();
    expectError(() => SqliteJournal.open({ path: foreign }), "STATE_DAMAGED", "not a state file");
    const gone = freshStatePath();
    writeFileSync(`${gone}-wal`, "frames");
    expectError(() => SqliteJournal.open({ path: gone }), "STATE_DAMAGED", "gone");
  });

  it("says STATE_DAMAGED for pages that were overwritten or cut off", async () => {
    for (const harm of [overwriteSecondHalf, cutInHalf]) {
      const path = freshStatePath();
      const journal = SqliteJournal.open({ path });
      await journal.append("a", countedEvents(1, 5_000));
      await journal.close();
      harm(path);
      expectError(() => SqliteJournal.open({ path }), "STATE_DAMAGED", "damaged");
      expectError(() => SqliteJournal.open({ path }), "STATE_DAMAGED", "damaged");
    }
  });

  it("says STATE_LOCKED and by whom while another journal writes the file, and opens once that is closed", async () => {
    const path = freshStatePath();
    const first = SqliteJournal.open({ path });
    expectError(() => SqliteJournal.open({ path, lockWaitMs: 0 }), "STATE_LOCKED", `process ${process.pid}`);
    await first.append("a", countedEvents(1, 1));
    await first.close();
    await SqliteJournal.open({ path, lockWaitMs: 0 }).close();
  });

  it("leaves the lock free after it refused a file", () => {
    const path = freshStatePath();
    writeFileSync(path, "");
    expectError(() => SqliteJournal.open({ path, lockWaitMs: 0 }), "STATE_DAMAGED", "empty");
    expectError(() => SqliteJournal.open({ path, lockWaitMs: 0 }), "STATE_DAMAGED", "empty");
  });
});

function fileOfVersion1(path: string): void {
  const database = new Database(path);
  database.exec(schemaOfVersion1);
  const insert = database.prepare(
    "INSERT INTO events VALUES(?, 1, ?, ?, 'counted', ?, 'count', 'tester', NULL, NULL, ?)",
  );
  for (const { seq, atMs, event } of countedEvents(1, 3)) {
    const payload = encodePayload(event);
    insert.run(seq, seq, atMs, payload, checksumOf(payload, checksumOfText("a"), seq, atMs));
  }
  database.close();
}

function overwriteSecondHalf(path: string): void {
  const bytes = readFileSync(path);
  writeFileSync(path, bytes.fill(0xff, bytes.length >> 1));
}

function cutInHalf(path: string): void {
  truncateSync(path, readFileSync(path).length >> 1);
}

function expectError(act: () => unknown, code: string, words: string): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    expect(error.code).to.equal(code);
    expect(error.message).to.include(words);
    expect(error.details.hint).to.be.a("string");
    return;
  }
  expect.fail(`${code} was expected`);
}
