import { chmodSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { BoundaryError } from "../../src/base/errors.js";
import { JournalReader } from "../../src/store/journal-reader.js";
import { type JournalNotice, SqliteJournal } from "../../src/store/sqlite-journal.js";
import { SmallDisk } from "../fixtures/small-disk.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

describe("the journal on a real small disk", () => {
  let disk: SmallDisk;
  const mounted: SmallDisk[] = [];

  beforeEach(function () {
    const fresh = SmallDisk.mount(8);
    if (fresh === null) {
      console.log("      skipped: a tmpfs cannot be mounted here (needs root), so there is no disk to fill");
      this.skip();
    }
    mounted.push(fresh);
    disk = fresh;
  });

  afterEach(() => {
    for (const fresh of mounted.splice(0)) fresh.unmount();
  });

  it("pauses acknowledgements when the disk is full, and goes on in order when there is room (G2)", async () => {
    const notices: JournalNotice[] = [];
    const path = join(disk.path, "state.db");
    const journal = SqliteJournal.open({ path, onNotice: (notice) => notices.push(notice) });
    await journal.append("a", countedEvents(1, 100));
    disk.fill();

    const acknowledged: string[] = [];
    const first = journal.append("a", countedEvents(101, 4_000)).then(() => acknowledged.push("first"));
    await until(() => journal.paused !== null);
    const second = journal.append("a", countedEvents(4_001, 4_002)).then(() => acknowledged.push("second"));
    const third = journal.append("b", countedEvents(1, 1)).then(() => acknowledged.push("third"));
    const loaded = journal.load("b");
    const snapshot = journal.saveSnapshot("a", { seq: 4_002, version: 1, state: "all" });
    expect(journal.inspect()).to.include({ paused: "disk-full", commitSeq: 100, pendingEvents: 3_904 });
    await until(() => (journal.inspect().pausedSinceMs ?? Date.now()) < Date.now() - 350);
    expect(acknowledged, "nothing may be acknowledged while it is not durable").to.deep.equal([]);
    const reader = new JournalReader(path);
    expect(reader.headCommitSeq(), "readers see only what is durable").to.equal(100);

    disk.free();
    await Promise.all([first, second, third, snapshot]);
    expect(acknowledged).to.deep.equal(["first", "second", "third"]);
    expect((await loaded).events).to.deep.equal(replayedEvents(1, 1));
    expect(reader.headCommitSeq()).to.equal(4_003);
    reader.close();
    expect(notices.map(({ type }) => type)).to.deep.equal(["committed", "paused", "resumed", "committed"]);
    expect(journal.paused).to.equal(null);
    await journal.close();
    const again = SqliteJournal.open({ path });
    expect(await again.load("a")).to.deep.equal({ snapshot: { seq: 4_002, version: 1, state: "all" }, events: [] });
    await again.close();
  });

  it("fills the disk by itself, and has every acknowledged event and no other afterwards", async () => {
    const path = join(disk.path, "state.db");
    const journal = SqliteJournal.open({ path });
    let acknowledged = 0;
    let ended: BoundaryError | null = null;
    const writing = (async () => {
      for (;;) {
        await journal.append("a", countedEvents(acknowledged + 1, acknowledged + 500));
        acknowledged += 500;
      }
    })().catch((error: unknown) => {
      if (!(error instanceof BoundaryError)) throw error;
      ended = error;
    });
    await until(() => journal.paused !== null);
    await journal.close();
    await writing;
    expect(ended).to.have.property("code", "JOURNAL_CLOSED");
    const reader = new JournalReader(path);
    expect(reader.headCommitSeq()).to.equal(acknowledged);
    reader.close();
  });

  it("says STATE_DISK_FULL when there is no room to open", () => {
    disk.fill();
    expectError(() => SqliteJournal.open({ path: join(disk.path, "state.db") }), "STATE_DISK_FULL");
    expectError(() => SqliteJournal.open({ path: join(disk.path, "deeper", "state.db") }), "STATE_DISK_FULL");
    disk.free();
  });

  it("opens an old state on a full disk or says STATE_DISK_FULL, and has lost nothing", async () => {
    const path = join(disk.path, "state.db");
    const journal = SqliteJournal.open({ path });
    await journal.append("a", countedEvents(1, 100));
    await journal.close();
    disk.fill();
    expectError(() => SqliteJournal.open({ path }), "STATE_DISK_FULL");
    disk.free();
    const again = SqliteJournal.open({ path, lockWaitMs: 0 });
    expect((await again.load("a")).events).to.deep.equal(replayedEvents(1, 100));
    await again.close();
  });

  it("says STATE_READ_ONLY on a disk that is mounted read-only", async () => {
    const path = join(disk.path, "state.db");
    await SqliteJournal.open({ path }).close();
    disk.makeReadOnly();
    expectError(() => SqliteJournal.open({ path }), "STATE_READ_ONLY");
    expectError(() => SqliteJournal.open({ path: join(disk.path, "deeper", "state.db") }), "STATE_READ_ONLY");
  });
});

describe("the journal in a folder without write permission", () => {
  afterEach(removeStateFolders);

  it("says STATE_READ_ONLY", function () {
    if (process.getuid?.() === 0) {
      console.log("      skipped: root may write everywhere; the read-only disk above stands in");
      this.skip();
    }
    const folder = `${freshStatePath()}.d`;
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    expectError(() => SqliteJournal.open({ path: join(folder, "state.db") }), "STATE_READ_ONLY");
  });
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function expectError(act: () => unknown, code: string): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof BoundaryError)) throw error;
    expect(`${error.code} ${error.message}`).to.include(code);
    expect(error.details.hint).to.be.a("string");
    return;
  }
  expect.fail(`${code} was expected`);
}
