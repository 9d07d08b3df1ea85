import { expect } from "chai";
import Database from "better-sqlite3";
import { BoundaryError } from "../../src/base/errors.js";
import type { ActorHistory } from "../../src/store/journal.js";
import {
  type JournalNotice,
  pendingEventsMax,
  SqliteJournal,
  type SqliteJournalOptions,
} from "../../src/store/sqlite-journal.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

describe("the SQLite journal", () => {
  const open: SqliteJournal[] = [];
  const journalAt = (path: string, options: Partial<SqliteJournalOptions> = {}): SqliteJournal => {
    const journal = SqliteJournal.open({ path, ...options });
    open.push(journal);
    return journal;
  };

  afterEach(async () => {
    for (const journal of open.splice(0)) await journal.close();
    removeStateFolders();
  });

  it("gives back what was appended, after it was opened again", async () => {
    const path = freshStatePath();
    const first = journalAt(path);
    await first.append("a", countedEvents(1, 3));
    await first.append("b", countedEvents(1, 1));
    await first.append("a", countedEvents(4, 4));
    await first.close();
    const second = journalAt(path);
    expect(await second.load("a")).to.deep.equal({ events: replayedEvents(1, 4) });
    expect(await second.load("b")).to.deep.equal({ events: replayedEvents(1, 1) });
    expect(await second.load("nobody")).to.deep.equal({ events: [] });
    expect(second.commitSeq).to.equal(5);
  });

  it("puts what is asked in one turn into one transaction (G1)", async () => {
    const journal = journalAt(freshStatePath());
    await Promise.all(Array.from({ length: 64 }, (_, index) => journal.append(`actor-${index}`, countedEvents(1, 2))));
    expect(journal.inspect()).to.include({ commits: 1, commitSeq: 128, actors: 64, pendingEvents: 0, paused: null });
  });

  it("accepts the same events again, and what follows them (J2)", async () => {
    const journal = journalAt(freshStatePath());
    await journal.append("a", countedEvents(1, 5));
    await journal.append("a", countedEvents(2, 3));
    await journal.append("a", countedEvents(4, 7));
    await Promise.all([journal.append("a", countedEvents(8, 8)), journal.append("a", countedEvents(8, 8))]);
    expect((await journal.load("a")).events).to.deep.equal(replayedEvents(1, 8));
    expect(journal.commitSeq).to.equal(8);
  });

  it("refuses a gap with JOURNAL_GAP, and writes nothing of it (T2, T3)", async () => {
    const journal = journalAt(freshStatePath());
    await journal.append("a", countedEvents(1, 2));
    const outcomes = await Promise.all([
      codeOf(journal.append("a", countedEvents(4, 4))),
      codeOf(journal.append("a", [...countedEvents(3, 3), ...countedEvents(5, 5)])),
      codeOf(journal.append("fresh", countedEvents(2, 2))),
      codeOf(journal.append("b", countedEvents(1, 1))),
    ]);
    expect(outcomes).to.deep.equal(["JOURNAL_GAP", "JOURNAL_GAP", "JOURNAL_GAP", "ok"]);
    expect((await journal.load("a")).events).to.have.length(2);
    expect(journal.commitSeq).to.equal(3);
  });

  it("refuses other content for a stored number with JOURNAL_CONFLICT (T3)", async () => {
    const journal = journalAt(freshStatePath());
    await journal.append("a", countedEvents(1, 2));
    expect(await codeOf(journal.append("a", countedEvents(2, 3, "other")))).to.equal("JOURNAL_CONFLICT");
    expect((await journal.load("a")).events).to.deep.equal(replayedEvents(1, 2));
  });

  it("refuses what cannot be encoded without hindering its neighbours (T2)", async () => {
    const journal = journalAt(freshStatePath());
    const symbol = { seq: 1, atMs: 1, event: { type: "bad", symbol: Symbol("no") } };
    const outcomes = await Promise.all([
      codeOf(journal.append("a", [symbol])),
      codeOf(journal.append("b", countedEvents(1, 1))),
    ]);
    expect(outcomes).to.deep.equal(["JOURNAL_BAD_EVENT", "ok"]);
    expect(journal.inspect().actors).to.equal(1);
  });

  it("replays the newest snapshot and what came after it", async () => {
    const path = freshStatePath();
    const journal = journalAt(path);
    await journal.append("a", countedEvents(1, 10));
    await journal.saveSnapshot("a", { seq: 6, version: 2, state: new Map([["sum", 21n]]) });
    await journal.append("b", countedEvents(1, 10));
    await journal.append("a", countedEvents(11, 12));
    const expected: ActorHistory = {
      snapshot: { seq: 6, version: 2, state: new Map([["sum", 21n]]) },
      events: replayedEvents(7, 12),
    };
    expect(await journal.load("a")).to.deep.equal(expected);
    await journal.close();
    expect(await journalAt(path).load("a")).to.deep.equal(expected);
  });

  it("refuses a snapshot that is ahead of the events, and keeps the newest when an older one comes late", async () => {
    const journal = journalAt(freshStatePath());
    await journal.append("a", countedEvents(1, 5));
    expect(await codeOf(journal.saveSnapshot("a", { seq: 6, version: 1, state: 6 }))).to.equal("JOURNAL_GAP");
    await journal.saveSnapshot("a", { seq: 5, version: 1, state: 5 });
    await journal.saveSnapshot("a", { seq: 3, version: 1, state: 3 });
    expect((await journal.load("a")).snapshot?.seq).to.equal(5);
    await journal.saveSnapshot("a", { seq: 0, version: 1, state: 0 });
    await journal.saveSnapshot("snapshot-only", { seq: 0, version: 1, state: "begun" });
    expect(await journal.load("snapshot-only")).to.deep.equal({
      snapshot: { seq: 0, version: 1, state: "begun" },
      events: [],
    });
  });

  it("falls back from a damaged newest snapshot to the older one and more events, and says so", async () => {
    const path = freshStatePath();
    const notices: JournalNotice[] = [];
    const first = journalAt(path);
    await first.append("a", countedEvents(1, 30));
    for (const seq of [10, 20, 30]) await first.saveSnapshot("a", { seq, version: 1, state: { seq } });
    await first.close();
    damage(path, "UPDATE snapshots SET payload = zeroblob(length(payload)) WHERE seq = 30");
    const second = journalAt(path, { onNotice: (notice) => notices.push(notice) });
    expect(await second.load("a")).to.deep.equal({
      snapshot: { seq: 20, version: 1, state: { seq: 20 } },
      events: replayedEvents(21, 30),
    });
    expect(notices).to.deep.equal([{ type: "snapshot-damaged", actor: "a", seq: 30 }]);
    await second.append("a", countedEvents(31, 31));
    await second.saveSnapshot("a", { seq: 31, version: 1, state: { seq: 31 } });
    await second.close();
    damage(path, "UPDATE snapshots SET payload = zeroblob(length(payload)) WHERE seq = 31");
    expect(
      (await journalAt(path).load("a")).snapshot?.seq,
      "the good older one must not have made room for the damaged",
    ).to.equal(20);
  });

  it("replays all when the snapshots are damaged and the history is whole, else says STATE_DAMAGED", async () => {
    const path = freshStatePath();
    const first = journalAt(path);
    await first.append("a", countedEvents(1, 5));
    await first.saveSnapshot("a", { seq: 4, version: 1, state: 4 });
    await first.append("b", countedEvents(1, 5));
    await first.append("c", countedEvents(1, 5));
    await first.close();
    damage(path, "UPDATE snapshots SET checksum = checksum + 1");
    damage(path, "UPDATE events SET payload = zeroblob(length(payload)) WHERE actor_id = 2 AND seq = 3");
    damage(path, "DELETE FROM events WHERE actor_id = 3 AND seq = 2");
    const second = journalAt(path);
    expect(await second.load("a")).to.deep.equal({ events: replayedEvents(1, 5) });
    expect(await codeOf(second.load("b"))).to.equal("STATE_DAMAGED");
    expect(await codeOf(second.load("c"))).to.equal("STATE_DAMAGED");
    await second.append("a", countedEvents(6, 6));
  });

  it("says STATE_DAMAGED when the events end before the snapshot", async () => {
    const path = freshStatePath();
    const first = journalAt(path);
    await first.append("a", countedEvents(1, 5));
    await first.saveSnapshot("a", { seq: 5, version: 1, state: 5 });
    await first.close();
    damage(path, "DELETE FROM events WHERE seq > 3");
    expect(await codeOf(journalAt(path).load("a"))).to.equal("STATE_DAMAGED");
  });

  it("keeps the newest events of each type as history, and all that recovery needs (T4)", async () => {
    const path = freshStatePath();
    const journal = journalAt(path, { historyEventsMax: 100 });
    await journal.append("busy", countedEvents(1, 1, "begun"));
    for (let seq = 2; seq <= 902; seq += 300) {
      await journal.append("busy", countedEvents(seq, seq + 299, "counted"));
      await journal.append("busy-too", countedEvents(seq - 1, seq + 298));
      await journal.saveSnapshot("busy", { seq: seq + 299, version: 1, state: seq + 299 });
    }
    await journal.load("busy-too"); // Pruning has its turn right after the snapshot's.
    await journal.close();
    const rows = new Database(path, { readonly: true });
    const of = (actor: string, type: string): unknown =>
      rows
        .prepare("SELECT count(*), min(seq) FROM events JOIN actors USING (actor_id) WHERE name = ? AND type = ?")
        .raw()
        .get(actor, type);
    expect(of("busy", "begun"), "a rare event stays").to.deep.equal([1, 1]);
    expect(of("busy", "counted"), "all behind the older snapshot at 901 stay").to.deep.equal([300, 902]);
    expect(of("busy-too", "counted"), "without snapshots nothing is pruned").to.deep.equal([1200, 1]);
    rows.close();
    const again = journalAt(path, { historyEventsMax: 100 });
    expect((await again.load("busy")).snapshot?.seq).to.equal(1201);
    expect(await codeOf(again.append("busy", countedEvents(5, 5)))).to.equal("JOURNAL_CONFLICT");
  });

  it("refuses with JOURNAL_BUSY beyond its bound, and goes on afterwards", async () => {
    const journal = journalAt(freshStatePath());
    const many = journal.append("a", countedEvents(1, pendingEventsMax));
    expect(await codeOf(journal.append("b", countedEvents(1, 1)))).to.equal("JOURNAL_BUSY");
    await many;
    await journal.append("b", countedEvents(1, 1));
  });

  it("shows a load everything that was asked before it (J3)", async () => {
    const journal = journalAt(freshStatePath());
    const appended = journal.append("a", countedEvents(1, 3));
    const loaded = journal.load("a");
    void journal.append("a", countedEvents(4, 4));
    expect((await loaded).events).to.have.length.greaterThanOrEqual(3);
    await appended;
  });

  it("writes what waits when it is closed, and refuses everything later with JOURNAL_CLOSED", async () => {
    const path = freshStatePath();
    const journal = journalAt(path);
    const waiting = journal.append("a", countedEvents(1, 3));
    await journal.close();
    await waiting;
    expect(await codeOf(journal.append("a", countedEvents(4, 4)))).to.equal("JOURNAL_CLOSED");
    expect(await codeOf(journal.load("a"))).to.equal("JOURNAL_CLOSED");
    expect((await journalAt(path).load("a")).events).to.deep.equal(replayedEvents(1, 3));
  });

  it("pauses while another program holds the file's write lock, and goes on (G2)", async () => {
    const path = freshStatePath();
    const notices: JournalNotice[] = [];
    const journal = journalAt(path, { onNotice: (notice) => notices.push(notice) });
    const other = new Database(path);
    other.exec("BEGIN IMMEDIATE");
    const loaded = journal.load("a");
    const waiting = journal.append("a", countedEvents(1, 1));
    while (journal.paused === null) await new Promise(setImmediate);
    expect(await loaded, "a load does not wait for what was asked after it").to.deep.equal({ events: [] });
    expect(journal.inspect()).to.include({ paused: "file-locked", pendingEvents: 1, commitSeq: 0 });
    other.close();
    await waiting;
    expect(notices.map(({ type }) => type)).to.deep.equal(["paused", "resumed", "committed"]);
  });
});

function damage(path: string, sql: string): void {
  const database = new Database(path);
  database.exec(sql);
  database.close();
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return "ok";
  } catch (error) {
    if (error instanceof BoundaryError) return error.code;
    throw error;
  }
}
