import { expect } from "chai";
import { stateBackend as stateBackendRef } from "../../actors/protocol/refs.js";
import { stateBackend } from "../../actors/state-backend.js";
import { type ActorRef, actorRef, defineActor, type Typed } from "../../src/runtime/actor.js";
import { ActorJournal } from "../../src/runtime/actor-journal.js";
import { createInlineSystem, type InlineSystem } from "../../src/runtime/test-kit.js";
import { BoundaryError } from "../../src/base/errors.js";
import type { JournalAdvanced, JournalPaused } from "../../src/store/journal-messages.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

const told: Typed[] = [];
const subscriber: ActorRef<JournalAdvanced | JournalPaused> = actorRef("subscriber");
const listening = defineActor<null, JournalAdvanced | JournalPaused, never>({
  name: "listening",
  module: import.meta.url,
  init: () => null,
  receive: (_state, message) => void told.push(message),
  apply: () => undefined,
});

describe("the State Backend over a real file", () => {
  let system: InlineSystem;
  let journal: ActorJournal;

  beforeEach(async () => {
    told.length = 0;
    system = createInlineSystem();
    await system.start(
      { id: stateBackendRef.id, definition: stateBackend, options: { path: freshStatePath() } },
      { id: subscriber.id, definition: listening },
    );
    journal = new ActorJournal(stateBackendRef.id, (message) =>
      system.ask(stateBackendRef, message, { isIdempotent: true }),
    );
  });

  afterEach(async () => {
    await system.close();
    removeStateFolders();
  });

  it("writes what comes in one turn as one transaction, and gives it back", async () => {
    const actors = Array.from({ length: 64 }, (_, index) => `actor-${index}`);
    await Promise.all(actors.map((actor) => journal.append(actor, countedEvents(1, 3))));
    await journal.saveSnapshot("actor-7", { seq: 2, version: 4, state: new Map([["sum", 3]]) });
    expect(await system.ask(stateBackendRef, { type: "inspect" })).to.include({
      commits: 2,
      commitSeq: 192,
      actors: 64,
    });
    expect(await journal.load("actor-7")).to.deep.equal({
      snapshot: { seq: 2, version: 4, state: new Map([["sum", 3]]) },
      events: replayedEvents(3, 3),
    });
    expect(await journal.load("actor-8")).to.deep.equal({ events: replayedEvents(1, 3) });
  });

  it("refuses one of a group without hindering the others (T2)", async () => {
    const outcomes = await Promise.allSettled([
      journal.append("a", countedEvents(1, 1)),
      journal.append("b", countedEvents(5, 5)),
      journal.append("c", [{ seq: 1, atMs: 1, event: { type: "bad", symbol: Symbol("no") } as Typed }]),
      journal.append("d", countedEvents(1, 1)),
    ]);
    const codes = outcomes.map((outcome) =>
      outcome.status === "fulfilled" ? "ok" : outcome.reason instanceof BoundaryError ? outcome.reason.code : "?",
    );
    expect(codes).to.deep.equal(["ok", "JOURNAL_GAP", "JOURNAL_BAD_EVENT", "ok"]);
  });

  it("goes on after a crash where it was, and has again what was sent again (J2)", async () => {
    await journal.append("a", countedEvents(1, 2));
    await system.restart(stateBackendRef.id);
    await journal.append("a", countedEvents(2, 4));
    expect((await journal.load("a")).events).to.deep.equal(replayedEvents(1, 4));
  });

  it("tells subscribers that the journal has advanced, and answers what is new (B3)", async () => {
    await system.ask(stateBackendRef, { type: "subscribe", subscriber });
    await journal.append("a", countedEvents(1, 2));
    await journal.append("a", countedEvents(3, 4));
    await system.advance(100);
    expect(told.at(-1)).to.deep.equal({ type: "journal-advanced", commitSeq: 4 });
    expect(told.length).to.be.at.most(2);
    const query = { order: "oldest-first", afterCommitSeq: 2 } as const;
    const page = await system.ask(stateBackendRef, { type: "read-history", query });
    expect(page).to.have.property("commitSeq", 4);
    expect(page).to.have.nested.property("events[0].seq", 3);
    expect(page).to.have.nested.property("events[1].event.number", 4);
  });
});
