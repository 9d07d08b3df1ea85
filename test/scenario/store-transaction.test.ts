import { expect } from "chai";
import Database from "better-sqlite3";
import { decodeHistory, encodeAppend, encodeSnapshot, type Operation } from "../../src/store/encoded.js";
import { StateStore } from "../../src/store/state-store.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

describe("a transaction of the state store", () => {
  afterEach(removeStateFolders);

  it("that fails half-way leaves nothing in the file nor in memory, and succeeds when it is tried again (T1)", () => {
    const path = freshStatePath();
    const store = new StateStore({ path });
    store.commit([encodeAppend("a", countedEvents(1, 3))]);
    // Row 21 of the group fails: some rows are written by then, others wait for their statement to be full.
    const other = new Database(path);
    other.exec("CREATE TRIGGER harm BEFORE INSERT ON events WHEN NEW.seq = 24 BEGIN SELECT RAISE(ABORT, 'harm'); END");
    const group: Operation[] = [
      encodeAppend("a", countedEvents(4, 30)),
      encodeSnapshot("a", { seq: 10, version: 1, state: "ten" }),
      encodeAppend("fresh", countedEvents(1, 5)),
    ];
    expect(() => store.commit(group)).to.throw("harm");
    expect([store.commitSeq, store.seqOf("a"), store.seqOf("fresh"), store.actorCount]).to.deep.equal([3, 3, 0, 1]);
    other.exec("DROP TRIGGER harm");
    other.close();

    expect(store.commit(group)).to.deep.equal([{ ok: true }, { ok: true }, { ok: true }]);
    const ignore = (): void => undefined;
    const { snapshot, events } = decodeHistory(store.load("a", ignore));
    expect(snapshot).to.deep.equal({ seq: 10, version: 1, state: "ten" });
    expect(events).to.deep.equal(replayedEvents(11, 30));
    expect(decodeHistory(store.load("fresh", ignore)).events).to.deep.equal(replayedEvents(1, 5));
    expect(store.commitSeq).to.equal(35);
    store.close();
  });
});
