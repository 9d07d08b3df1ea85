import { expect } from "chai";
import Database from "better-sqlite3";
import { BoundaryError } from "../../src/base/errors.js";
import { JournalReader } from "../../src/store/journal-reader.js";
import type { HistoryEvent } from "../../src/store/journal-messages.js";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { countedEvents, freshStatePath, removeStateFolders } from "../fixtures/state-folder.js";

describe("the journal reader", () => {
  let path: string;
  let journal: SqliteJournal;
  const readers: JournalReader[] = [];
  const readerAt = (at: string): JournalReader => {
    const reader = new JournalReader(at);
    readers.push(reader);
    return reader;
  };

  beforeEach(() => {
    path = freshStatePath();
    journal = SqliteJournal.open({ path });
  });

  afterEach(async () => {
    for (const reader of readers.splice(0)) reader.close();
    await journal.close();
    removeStateFolders();
  });

  it("reads in the order of commits, from a position on, while the writer lives (H2)", async () => {
    const reader = readerAt(path);
    expect(reader.read({ order: "oldest-first" })).to.deep.equal([]);
    await journal.append("a", countedEvents(1, 2));
    await journal.append("b", countedEvents(1, 1));
    await journal.append("a", countedEvents(3, 3));
    const all = reader.read({ order: "oldest-first" });
    expect(all.map(({ commitSeq, actor, seq }) => [commitSeq, actor, seq])).to.deep.equal([
      [1, "a", 1],
      [2, "a", 2],
      [3, "b", 1],
      [4, "a", 3],
    ]);
    expect(all[0]).to.deep.equal({
      commitSeq: 1,
      actor: "a",
      type: "counted",
      isIntact: true,
      ...countedEvents(1, 1)[0],
    });
    expect(reader.read({ order: "oldest-first", afterCommitSeq: 3 })).to.deep.equal(all.slice(3));
    expect(reader.headCommitSeq()).to.equal(4);
    expect(reader.actors()).to.deep.equal(["a", "b"]);
  });

  it("filters by actor and type, newest first, up to a limit", async () => {
    await journal.append("a", [...countedEvents(1, 5), ...countedEvents(6, 6, "rare"), ...countedEvents(7, 9)]);
    await journal.append("b", countedEvents(1, 3, "rare"));
    const reader = readerAt(path);
    const seqs = (events: readonly HistoryEvent[]): string[] => events.map(({ actor, seq }) => `${actor}${seq}`);
    expect(seqs(reader.read({ order: "newest-first", limit: 2 }))).to.deep.equal(["b3", "b2"]);
    expect(seqs(reader.read({ order: "newest-first", types: ["rare"], actor: "a" }))).to.deep.equal(["a6"]);
    expect(seqs(reader.read({ order: "oldest-first", types: ["rare"], limit: 2 }))).to.deep.equal(["a6", "b1"]);
    expect(seqs(reader.read({ order: "newest-first", beforeCommitSeq: 3 }))).to.deep.equal(["a2", "a1"]);
    expect(seqs(reader.read({ order: "oldest-first", actor: "nobody" }))).to.deep.equal([]);
    expect(() => reader.read({ order: "oldest-first", limit: 0 }))
      .to.throw(BoundaryError)
      .with.property("code", "HISTORY_QUERY");
  });

  it("reads a file whose writer has closed it", async () => {
    await journal.append("a", countedEvents(1, 3));
    await journal.close();
    expect(readerAt(path).read({ order: "oldest-first" })).to.have.length(3);
  });

  it("shows a damaged row as such and reads on (H3)", async () => {
    await journal.append("a", countedEvents(1, 3));
    const other = new Database(path);
    other.exec("UPDATE events SET payload = zeroblob(length(payload)) WHERE seq = 2");
    other.close();
    const seen = readerAt(path).read({ order: "oldest-first" });
    expect(seen.map(({ isIntact }) => isIntact)).to.deep.equal([true, false, true]);
    expect(seen[1]).to.include({ type: "counted", event: null });
  });

  it("walks from an event to what led to it", async () => {
    const caused = (seq: number, actor: string, causeSeq: number): object => ({
      cause: { message: "go", from: actor, event: { actor, seq: causeSeq } },
      atMs: seq,
      seq,
      event: { type: "caused" },
    });
    await journal.append("a", countedEvents(1, 2));
    await journal.append("b", [caused(1, "a", 2)] as never);
    await journal.append("c", [caused(1, "b", 1), caused(2, "nobody", 9)] as never);
    const reader = readerAt(path);
    expect(reader.why("c", 1).map(({ actor, seq }) => `${actor}${seq}`)).to.deep.equal(["c1", "b1", "a2"]);
    expect(reader.why("c", 2)).to.have.length(1);
    expect(reader.why("c", 99)).to.deep.equal([]);
  });

  it("follows: what is there, then what comes, each once, until it is told to end", async () => {
    await journal.append("a", countedEvents(1, 2));
    const reader = readerAt(path);
    const end = new AbortController();
    const seen: number[] = [];
    for await (const { seq } of reader.follow({ actor: "a", pollMs: 60_000, signal: end.signal })) {
      seen.push(seq);
      if (seq === 5) end.abort();
      if (seq < 2) continue;
      await journal.append(
        "b",
        countedEvents(seq, seq).map((event) => ({ ...event, seq: seq - 1 })),
      );
      await journal.append("a", countedEvents(seq + 1, seq + 1));
      setImmediate(() => reader.wake());
    }
    expect(seen).to.deep.equal([1, 2, 3, 4, 5]);
  });

  it("ends following when it is closed", async () => {
    const reader = readerAt(path);
    setImmediate(() => reader.close());
    for await (const event of reader.follow({ pollMs: 60_000 }))
      expect.fail(`nothing was written, yet ${event.type} came`);
  });

  it("says STATE_NOT_FOUND where there is no file", () => {
    expect(() => readerAt(`${path}.none`))
      .to.throw(BoundaryError)
      .with.property("code", "STATE_NOT_FOUND");
  });
});
