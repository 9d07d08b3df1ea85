/**
 * Durable events a second with 64 actors' worth in flight: each of 64 writers waits for the acknowledgement of its
 * event before it makes the next. Reference: the same rows, made beforehand, put into SQLite in one fsynced transaction
 * of 64 after another.
 *
 * Not measured: a disk that is shared with a busy program, and whether the disk keeps what it was told to flush.
 */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Database from "better-sqlite3";
import { stateBackend } from "../actors/state-backend.js";
import { stateBackend as stateBackendRef } from "../actors/protocol/refs.js";
import { ActorJournal } from "../src/runtime/actor-journal.js";
import { ActorSystem } from "../src/runtime/actor-system.js";
import type { Journal, StoredEvent } from "../src/store/journal.js";
import { encodePayload } from "../src/store/row-codec.js";
import { SqliteJournal } from "../src/store/sqlite-journal.js";
import { type Figure, figureOf } from "./figure.js";

/** Rounds that count; as many thirds again come first, so that compiled code is measured. */
const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5) * 3;
const warmUpRounds = rounds / 3;
const writers = 64;
/** Short rounds that take turns, so that a disk which is busy for a while slows all three alike. */
const eventsPerRound = 300;

/** Makes `eventsPerRound` events of each writer durable, from number `from` on. */
type WriteRound = (from: number) => Promise<void>;

function eventOf(writer: number, seq: number): StoredEvent {
  const shard = seq * writers + writer;
  const event = {
    type: "shard-completed",
    dataset: "train",
    shard,
    node: `worker-${writer}`,
    start: shard * 100,
    end: shard * 100 + 100,
    epoch: 1,
    tookMs: 12.5,
    isLast: false,
    attempt: 1,
  };
  return { seq, atMs: 1_700_000_000_000 + shard, event, cause: { message: "complete-shard", from: "master-service" } };
}

/** A plain loop: rows made beforehand, one transaction for 64. */
function plainWriter(path: string): { write: WriteRound; close: () => void } {
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(`CREATE TABLE events(commit_seq INTEGER PRIMARY KEY, actor_id INTEGER, seq INTEGER, at_ms REAL,
    type TEXT, payload BLOB, cause_message TEXT, cause_from TEXT, cause_actor TEXT, cause_seq INTEGER,
    checksum INTEGER) STRICT`);
  const insert = database.prepare("INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?)");
  const [begin, commit] = [database.prepare("BEGIN IMMEDIATE"), database.prepare("COMMIT")];
  const payloads = Array.from({ length: writers }, (_, writer) => encodePayload(eventOf(writer, 1_000).event));
  let commitSeq = 0;
  const write = (from: number): Promise<void> => {
    for (let seq = from; seq < from + eventsPerRound; seq++) {
      begin.run();
      for (const [writer, payload] of payloads.entries()) {
        const atMs = 1_700_000_000_000 + seq;
        insert.run(
          ++commitSeq,
          writer,
          seq,
          atMs,
          "shard-completed",
          payload,
          "complete-shard",
          "master-service",
          null,
          null,
          1,
        );
      }
      commit.run();
    }
    return Promise.resolve();
  };
  return { write, close: () => void database.close() };
}

/** 64 writers, each of which waits for the acknowledgement of its event before it makes the next. */
function journalWriter(journal: Journal): WriteRound {
  return async (from) => {
    const one = async (writer: number): Promise<void> => {
      for (let seq = from; seq < from + eventsPerRound; seq++) {
        await journal.append(`actor-${writer}`, [eventOf(writer, seq)]);
      }
    };
    await Promise.all(Array.from({ length: writers }, (_, writer) => one(writer)));
  };
}

async function rateOf(write: WriteRound, from: number): Promise<number> {
  const beganMs = performance.now();
  await write(from);
  return (writers * eventsPerRound * 1_000) / (performance.now() - beganMs);
}

export async function run(): Promise<Figure[]> {
  const folder = mkdtempSync(join(tmpdir(), "drover-bench-"));
  const plain = plainWriter(join(folder, "plain.db"));
  const direct = SqliteJournal.open({ path: join(folder, "direct.db") });
  const system = new ActorSystem();
  const options = { path: join(folder, "threaded.db") };
  await system.spawn({ id: stateBackendRef.id, definition: stateBackend, options, placement: "thread" });
  const asking = { deadlineMs: 60_000, isIdempotent: true };
  const threaded = new ActorJournal(stateBackendRef.id, (message) => system.ask(stateBackendRef, message, asking));

  const writes = [plain.write, journalWriter(threaded), journalWriter(direct)];
  const rates: number[][] = writes.map(() => []);
  for (let round = 0; round < warmUpRounds + rounds; round++) {
    for (const [index, write] of writes.entries()) {
      const rate = await rateOf(write, round * eventsPerRound + 1);
      if (round >= warmUpRounds) rates[index]?.push(rate);
    }
  }
  await system.close();
  await direct.close();
  plain.close();
  rmSync(folder, { recursive: true });

  const [plainRates = [], threadedRates = [], directRates = []] = rates;
  const reference = { name: "the same rows in one fsynced transaction of 64", runs: plainRates };
  const bound = { atLeast: 0.5 };
  return [
    figureOf(
      "durable events, 64 in flight, through the State Backend's thread",
      "events/s",
      threadedRates,
      reference,
      bound,
    ),
    figureOf(
      "durable events, 64 in flight, SqliteJournal in the caller's thread",
      "events/s",
      directRates,
      reference,
      bound,
    ),
  ];
}
