/** The history over HTTP: pages and server-sent events out of a real state file. */

import { expect } from "chai";
import { request } from "node:http";
import { masterService } from "../../actors/protocol/refs.js";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { WireClient } from "../../src/wire/client.js";
import { eventsAnswer } from "../../src/wire/event-api.js";
import { streamsMax } from "../../src/wire/event-streams.js";
import type { HistoryEvent } from "../../src/store/journal-messages.js";
import { codeOf, WireFixture } from "../fixtures/wire-far-side.js";

type Events = { events: HistoryEvent[] };

describe("master service, the history", () => {
  let wire: WireFixture;
  let journal: SqliteJournal;
  let written = 0;

  beforeEach(async () => {
    wire = new WireFixture();
    journal = SqliteJournal.open({ path: wire.statePath });
    written = 0;
    await wire.start();
  });
  afterEach(async () => {
    await wire.close();
    await journal.close();
  });

  async function write(count: number, extra: object = {}): Promise<void> {
    const events = Array.from({ length: count }, () => {
      const seq = ++written;
      return { seq, atMs: seq, event: { type: seq % 2 === 0 ? "node-lost" : "node-joined", seq, ...extra } };
    });
    await journal.append("job-manager", events);
    wire.system.tell(masterService, { type: "journal-advanced", commitSeq: written });
  }

  const seqs = (events: readonly HistoryEvent[]): number[] => events.map(({ seq }) => seq);
  const page = async (query: string): Promise<HistoryEvent[]> => ((await wire.call(`/api/v1/events?${query}`)).body as Events).events;
  const client = (): WireClient => new WireClient({ address: wire.address, token: wire.token, patienceMs: 5_000 });

  it("gives pages, oldest or newest first, of an actor or of some types", async () => {
    await write(10);
    expect(seqs(await page("after=3&limit=4"))).to.deep.equal([4, 5, 6, 7]);
    expect(seqs(await page("newest=true&limit=2"))).to.deep.equal([10, 9]);
    expect(seqs(await page("type=node-lost"))).to.deep.equal([2, 4, 6, 8, 10]);
    expect(await page("actor=task-manager")).to.deep.equal([]);
    const answer = await wire.call("/api/v1/events");
    expect(eventsAnswer.parse(answer.body)).to.deep.equal(answer.body);
  });

  it("shows maps, sets, bytes and bigints as JSON can carry them", async () => {
    await write(1, { map: new Map([["a", 1n]]), set: new Set([1]), bytes: new Uint8Array([1, 2]) });
    expect((await page(""))[0]?.event).to.deep.include({ map: { a: "1" }, set: [1], bytes: "AQI=" });
  });

  it("streams what was and what comes, once and in order (E1)", async () => {
    await write(3);
    const seen: HistoryEvent[] = [];
    const stop = new AbortController();
    const reader = client();
    const done = (async () => {
      for await (const event of reader.follow({ after: 1, signal: stop.signal })) if (seen.push(event) === 6) stop.abort();
    })();
    while (seen.length < 2) await wire.system.settle();
    await write(4);
    await done;
    expect(seqs(seen)).to.deep.equal([2, 3, 4, 5, 6, 7]);
    reader.close();
  });

  it("streams only the events of a type, and goes on behind Last-Event-ID", async () => {
    await write(10);
    const headers = { authorization: `Bearer ${wire.token}`, "last-event-id": "5" };
    const path = "/api/v1/events/stream?type=node-lost&after=1";
    const text = await new Promise<string>((resolve, reject) => {
      const get = request({ host: "127.0.0.1", port: wire.port, path, headers }, (response) => {
        let seen = "";
        response.on("data", (chunk: Buffer) => {
          seen += chunk.toString();
          if (!seen.includes("id: 10")) return;
          get.destroy();
          resolve(seen);
        });
      });
      get.on("error", reject);
      get.end();
    });
    expect(text.match(/^id: \d+$/gm)).to.deep.equal(["id: 6", "id: 8", "id: 10"]);
    expect(text).to.match(/^event: node-lost$/m);
  });

  it("goes on over a restart of the service, with none lost or doubled (K3)", async () => {
    const reader = client();
    const stop = new AbortController();
    const seen: number[] = [];
    const done = (async () => {
      for await (const { seq } of reader.follow({ signal: stop.signal })) if (seen.push(seq) === 60) stop.abort();
    })();
    await write(20);
    while (seen.length < 20) await wire.system.settle();
    await wire.system.restart("master-service");
    await write(40);
    await done;
    expect(seen).to.deep.equal(Array.from({ length: 60 }, (_, index) => index + 1));
    reader.close();
  });

  it("streams a long history without holding up other requests (E2)", async () => {
    for (let batch = 0; batch < 10; batch++) await write(2_000, { text: "x".repeat(100) });
    const reader = client();
    const stop = new AbortController();
    let count = 0;
    let health = 0;
    for await (const event of reader.follow({ signal: stop.signal })) {
      count += 1;
      if (event.seq === 1_000) void wire.call("/healthz").then(() => (health = count));
      if (event.seq === 20_000) stop.abort();
    }
    expect(count).to.equal(20_000);
    expect(health).to.be.within(1_000, 19_999);
    reader.close();
  });

  it("refuses a stream beyond the most, and takes it once another has ended", async () => {
    await write(1);
    const open = await Promise.all(Array.from({ length: streamsMax }, () => openStream()));
    const refused = await wire.call("/api/v1/events/stream");
    expect([refused.status, codeOf(refused)]).to.deep.equal([503, "TOO_MANY_STREAMS"]);
    open[0]?.();
    await wire.system.settle();
    open[0] = await openStream();
    for (const close of open) close();
  });

  it("refuses a Last-Event-ID that is none", async () => {
    await write(1);
    const refused = await wire.call("/api/v1/events/stream", { headers: { "last-event-id": "soon" } });
    expect([refused.status, codeOf(refused)]).to.deep.equal([400, "BAD_REQUEST"]);
  });

  /** Resolves with what closes it, once its first byte is there. */
  function openStream(): Promise<() => void> {
    return new Promise((resolve, reject) => {
      const headers = { authorization: `Bearer ${wire.token}` };
      const get = request({ host: "127.0.0.1", port: wire.port, path: "/api/v1/events/stream", headers, agent: false }, (response) => {
        if (response.statusCode !== 200) return reject(new Error(`status ${String(response.statusCode)}`));
        response.once("data", () => resolve(() => get.destroy()));
      });
      get.on("error", reject);
      get.end();
    });
  }
});
