import { expect } from "chai";
import Database from "better-sqlite3";
import type { ActorPort, PortContext, Typed } from "../../src/runtime/actor.js";
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

  const append = (actor: string, from: number, to: number) =>
    ({ type: "append", actor, events: countedEvents(from, to) }) as const;

  it("writes groups and reports each outcome, refusals included", async () => {
    port.perform({ type: "write", batch: 7, operations: [append("a", 1, 2), append("b", 5, 5)] });
    port.perform({ type: "write", batch: 8, operations: [append("a", 3, 3)] });
    const first = await host.next();
    expect(first).to.include({ type: "batch-written", batch: 7, commitSeq: 3 });
    expect(first).to.have.nested.property("outcomes[0]").that.deep.equals({ ok: true });
    expect(first).to.have.nested.property("outcomes[1].code", "JOURNAL_GAP");
    expect(await host.next()).to.deep.equal({
      type: "batch-written",
      batch: 8,
      outcomes: [{ ok: true }],
      commitSeq: 3,
    });
  });

  it("loads, reads the history and shows the store", async () => {
    port.perform({ type: "write", batch: 1, operations: [append("a", 1, 2)] });
    port.perform({ type: "load", request: 2, actor: "a" });
    expect([await host.next(), await host.next()]).to.have.deep.members([
      { type: "batch-written", batch: 1, outcomes: [{ ok: true }], commitSeq: 2 },
      { type: "request-done", request: 2, reply: { events: replayedEvents(1, 2) } },
    ]);
    port.perform({ type: "read-history", request: 3, query: { order: "newest-first", limit: 1 } });
    expect(await host.next()).to.have.nested.property("reply.events[0].seq", 2);
    port.perform({ type: "read-history", request: 4, query: { order: "newest-first", limit: 0 } });
    expect(await host.next()).to.have.nested.property("reply.code", "HISTORY_QUERY");
    port.perform({ type: "inspect", request: 5 });
    expect(await host.next()).to.have.nested.property("reply.commitSeq", 2);
  });

  it("reports a history that cannot be recovered as a refusal, and fails nobody", async () => {
    port.perform({ type: "write", batch: 1, operations: [append("a", 1, 2)] });
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
    port.perform({ type: "write", batch: 1, operations: [append("a", 1, 2)] });
    expect(await host.next()).to.deep.equal({ type: "acknowledgements-paused", reason: "file-locked" });
    other.close();
    expect(await host.next()).to.deep.equal({ type: "acknowledgements-paused", reason: null });
    expect((await host.next()).type).to.equal("batch-written");
  });

  it("fails the actor once the file fails for good (G3)", async () => {
    const other = new Database(path);
    other.exec("DROP TABLE events");
    other.close();
    port.perform({ type: "write", batch: 1, operations: [append("a", 1, 2)] });
    while (host.failures.length === 0) await new Promise(setImmediate);
    expect(host.failures[0]).to.have.property("code", "STATE_IO");
  });
});
