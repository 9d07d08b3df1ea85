import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { expect } from "chai";
import { JournalReader } from "../../src/store/journal-reader.js";
import type { HistoryEvent } from "../../src/store/journal-messages.js";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { countedEvents, freshStatePath, removeStateFolders, replayedEvents } from "../fixtures/state-folder.js";
import { writerActors } from "./store-writer.js";

const writerModule = fileURLToPath(new URL("./store-writer.js", import.meta.url));
const kills = 20;

describe("the journal under kill -9", () => {
  afterEach(removeStateFolders);

  it(`has every acknowledged event, in order and without gaps, after each of ${kills} kills`, async function () {
    this.timeout(240_000);
    const path = freshStatePath();
    const acknowledged = new Map<string, number>();
    for (let kill = 1; kill <= kills; kill++) {
      await writeAndKill(path, acknowledged, 20 + kill * 17);
      const reader = new JournalReader(path);
      const events = allEvents(reader);
      reader.close();
      for (const actor of writerActors) {
        const own = events.filter((event) => event.actor === actor);
        const last = own.length;
        expect(last, `${actor} after kill ${kill}`).to.be.at.least(acknowledged.get(actor) ?? 0);
        expect(own.map(({ event }) => event)).to.deep.equal(countedEvents(1, last).map(({ event }) => event));
        expect(own.map(({ seq }) => seq)).to.deep.equal(countedEvents(1, last).map(({ seq }) => seq));
      }
    }
    const journal = SqliteJournal.open({ path, lockWaitMs: 0 });
    for (const actor of writerActors) {
      const { snapshot, events } = await journal.load(actor);
      const from = (snapshot?.seq ?? 0) + 1;
      expect(events).to.deep.equal(replayedEvents(from, from + events.length - 1));
      expect(from + events.length - 1).to.be.at.least(acknowledged.get(actor) ?? 0);
    }
    await journal.close();
  });

  it("frees the lock when the thread that holds it is terminated", async () => {
    const path = freshStatePath();
    const source = `
      const { workerData, parentPort } = require("node:worker_threads");
      import(workerData.module).then(({ SqliteJournal }) => {
        globalThis.journal = SqliteJournal.open({ path: workerData.path });
        parentPort.postMessage("open");
        setInterval(() => {}, 1000);
      });`;
    const module = new URL("../../src/store/sqlite-journal.js", import.meta.url).href;
    const worker = new Worker(source, { eval: true, workerData: { module, path } });
    await once(worker, "message");
    expect(() => SqliteJournal.open({ path, lockWaitMs: 0 })).to.throw("another master");
    await worker.terminate();
    await SqliteJournal.open({ path, lockWaitMs: 0 }).close();
  });

  it("lets no second process write, and lets it read", async () => {
    const path = freshStatePath();
    const journal = SqliteJournal.open({ path });
    await journal.append("a", countedEvents(1, 1));
    const second = spawn(process.execPath, [writerModule, path], { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    second.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const [code] = (await once(second, "close")) as [number];
    expect(code).to.equal(1);
    expect(errors).to.include("STATE_LOCKED").and.include(`process ${process.pid}`);
    await journal.close();
  });
});

/**
 * Runs a writer until it has acknowledged `count` batches, then kills it; adds what it acknowledged, also after the
 * signal was sent.
 */
async function writeAndKill(path: string, acknowledged: Map<string, number>, count: number): Promise<void> {
  const child = spawn(process.execPath, [writerModule, path], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  let lines = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    const [actor = "", seq = ""] = line.split(" ");
    if (seq === "") continue;
    acknowledged.set(actor, Number(seq));
    if (++lines === count) child.kill("SIGKILL");
  }
  const [, signal] = (await closed) as [number | null, string | null];
  expect(signal, "the writer must not have ended by itself").to.equal("SIGKILL");
}

function allEvents(reader: JournalReader): HistoryEvent[] {
  const events: HistoryEvent[] = [];
  for (;;) {
    const page = reader.read({ order: "oldest-first", afterCommitSeq: events.at(-1)?.commitSeq ?? 0, limit: 10_000 });
    if (page.length === 0) return events;
    events.push(...page);
  }
}
