import { expect } from "chai";
import Database from "better-sqlite3";
import type { ActorPort, PortContext, Typed } from "../../src/runtime/actor.js";
import {
  decodeHistory,
  encodeAppend,
  type EncodedHistory,
  type Operation,
  packHistory,
  packOperations,
  unpackHistory,
} from "../../src/store/encoded.js";
import { encodePayload } from "../../src/store/row-codec.js";
import { openStatePort, type StatePortCommand, type StatePortReport } from "../../src/store/state-port.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";

/** The runtime's side of a port: keeps what it reports, and lets a test wait for it. */
class PortHost implements PortContext<StatePortReport> {
  readonly self = { id: "state-backend" };
  readonly failures: Error[] = [];
  readonly #reports: Typed[] = [];
  #waiting: (() => void) | null = null;

  async next(): Promise<Typed> {
    for (;;) {
      const report = this.#reports.shift();
      if (report !== undefined) return report;
      await new Promise<void>((resolve) => (this.#waiting = resolve));
    }
  }

  now(): number {
    return 0;
  }

  tell(_to: { id: string }, report: Typed): void {
    this.#reports.push(report);
    this.#waiting?.();
  }

  ask(): Promise<never> {
    return Promise.reject(new Error("this port asks nobody"));
  }

  log(): void {
    // Not looked at.
  }

  fail(error: Error): void {
    this.failures.push(error);
    this.#waiting?.();
  }
}

describe("the State Backend's port", () => {
  let path: string;
  let host: PortHost;
  let port: ActorPort<StatePortCommand>;

  beforeEach(() => {
    path = freshStatePath();
    host = new PortHost();
    port = openStatePort({ path }, host);
  });

  afterEach(async () => {
    await port.close();
    removeStateFolders();
  });

  const append = (actor: string, from: number, to: number): Operation => encodeAppend(actor, countedEvents(from, to));
  const frameOf = (...operations: Operation[]): Uint8Array => packOperations(operations);

  const historyOf = (from: number, to: number): EncodedHistory => ({
    snapshot: null,
    events: replayedEvents(from, to).map(({ seq, atMs, event }) => [seq, atMs, encodePayload(event)]),
  });

  it("writes groups and reports each outcome, refusals included", async () => {
    port.perform({
      type: "write",
      batch: 7,
      frames: [frameOf(append("a", 1, 2)), frameOf(append("b", 5, 5), append("c", 1, 1))],
    });
    port.perform({ type: "write", batch: 8, frames: [frameOf(append("a", 3, 3))] });
    const first = await host.next();
    expect(first).to.include({ type: "batch-written", batch: 7, commitSeq: 4 });
    expect(first).to.have.nested.property("replies[0]").that.deep.equals({ outcomes: null });
    expect(first).to.have.nested.property("replies[1].outcomes[0].code", "JOURNAL_GAP");
    expect(first).to.have.nested.property("replies[1].outcomes[1].ok", true);
    expect(await host.next()).to.deep.equal({
      type: "batch-written",
      batch: 8,
      replies: [{ outcomes: null }],
      commitSeq: 4,
    });
  });

  it("loads, reads the history and shows the store", async () => {
    port.perform({ type: "write", batch: 1, frames: [frameOf(append("a", 1, 2))] });
    port.perform({ type: "load", request: 2, actor: "a" });
    const replayed = packHistory(historyOf(1, 2));
    expect([await host.next(), await host.next()]).to.have.deep.members([
      { type: "batch-written", batch: 1, replies: [{ outcomes: null }], commitSeq: 2 },
      { type: "request-done", request: 2, reply: { ok: true, frame: replayed } },
    ]);
    expect(decodeHistory(unpackHistory(replayed))).to.deep.equal({ events: replayedEvents(1, 2) });
    port.perform({ type: "read-history", request: 3, query: { order: "newest-first", limit: 1 } });
    expect(await host.next()).to.have.nested.property("reply.events[0].seq", 2);
    port.perform({ type: "read-history", request: 4, query: { order: "newest-first", limit: 0 } });
    expect(await host.next()).to.have.nested.property("reply.code", "HISTORY_QUERY");
    port.perform({ type: "inspect", request: 5 });
    expect(await host.next()).to.have.nested.property("reply.commitSeq", 2);
  });

  it("reports a history that cannot be recovered as a refusal, and fails nobody", async () => {
    port.perform({ type: "write", batch: 1, frames: [frameOf(append("a", 1, 2))] });
    await host.next();
    const other = new Database(path);
    other.exec("DELETE FROM events WHERE seq = 1");
    other.close();
    port.perform({ type: "load", request: 2, actor: "a" });
    expect(await host.next()).to.have.nested.property("reply.code", "STATE_DAMAGED");
    expect(host.failures).to.deep.equal([]);
  });

  it("reports that acknowledgements wait and go on", async () => {
    const other = new Database(path);
    other.exec("BEGIN IMMEDIATE");
    port.perform({ type: "write", batch: 1, frames: [frameOf(append("a", 1, 2))] });
    expect(await host.next()).to.deep.equal({ type: "acknowledgements-paused", reason: "file-locked" });
    other.close();
    expect(await host.next()).to.deep.equal({ type: "acknowledgements-paused", reason: null });
    expect((await host.next()).type).to.equal("batch-written");
  });

  it("fails the actor once the file fails for good (G3)", async () => {
    const other = new Database(path);
    other.exec("DROP TABLE events");
    other.close();
    port.perform({ type: "write", batch: 1, frames: [frameOf(append("a", 1, 2))] });
    while (host.failures.length === 0) await new Promise(setImmediate);
    expect(host.failures[0]).to.have.property("code", "STATE_IO");
  });
});
