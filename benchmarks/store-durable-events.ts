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

const rounds = Number(process.env["BENCH_ROUNDS"] ?? 5);
const writers = 64;
/** Events a writer makes before the clock starts, so that compiled code is measured, and those that count. */
const warmUpEvents = 500;
const measuredEvents = 1_500;

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

/** Events a second of a plain loop: rows made beforehand, one transaction for 64. */
function plainRate(path: string): number {
  const database = new Database(path);
  database.pragma("journal_mode = WAL");
  database.pragma("synchronous = FULL");
  database.exec(`CREATE TABLE events(commit_seq INTEGER PRIMARY KEY, actor_id INTEGER, seq INTEGER, at_ms REAL,
    type TEXT, payload BLOB, cause_message TEXT, cause_from TEXT, cause_actor TEXT, cause_seq INTEGER, checksum INTEGER) STRICT`);
  const insert = database.prepare("INSERT INTO events VALUES(?,?,?,?,?,?,?,?,?,?,?)");
  const [begin, commit] = [database.prepare("BEGIN IMMEDIATE"), database.prepare("COMMIT")];
  const rows = Array.from({ length: writers }, (_, writer) => {
    const { event, cause } = eventOf(writer, 1_000);
    return { type: event.type, payload: encodePayload(event), cause };
  });
  let commitSeq = 0;
  let beganMs = 0;
  for (let seq = 1; seq <= warmUpEvents + measuredEvents; seq++) {
    if (seq === warmUpEvents + 1) beganMs = performance.now();
    begin.run();
    for (const [writer, { type, payload, cause }] of rows.entries()) {
      insert.run(
        ++commitSeq,
        writer,
        seq,
        1_700_000_000_000 + seq,
        type,
        payload,
        cause?.message,
        cause?.from,
        null,
        null,
        12_345,
      );
    }
    commit.run();
  }
  const rate = ratePerSecond(beganMs);
  database.close();
  return rate;
}

/** Events a second of a journal with 64 writers, each of which waits for its acknowledgements. */
async function journalRate(journal: Journal): Promise<number> {
  const write = async (from: number, to: number): Promise<void> => {
    const one = async (writer: number): Promise<void> => {
      for (let seq = from; seq <= to; seq++) await journal.append(`actor-${writer}`, [eventOf(writer, seq)]);
    };
    await Promise.all(Array.from({ length: writers }, (_, writer) => one(writer)));
  };
  await write(1, warmUpEvents);
  const beganMs = performance.now();
  await write(warmUpEvents + 1, warmUpEvents + measuredEvents);
  return ratePerSecond(beganMs);
}

/** The same through the State Backend in a thread of its own, as every durable actor of a master writes. */
async function stateBackendRate(path: string): Promise<number> {
  const system = new ActorSystem();
  await system.spawn({ id: stateBackendRef.id, definition: stateBackend, options: { path }, placement: "thread" });
  const asking = { deadlineMs: 60_000, isIdempotent: true };
  const journal = new ActorJournal(stateBackendRef.id, (message) =>
    system.ask({ id: stateBackendRef.id }, message, asking),
  );
  const rate = await journalRate(journal);
  await system.close();
  return rate;
}

function ratePerSecond(beganMs: number): number {
  return (writers * measuredEvents * 1_000) / (performance.now() - beganMs);
}

export async function run(): Promise<Figure[]> {
  const plain: number[] = [];
  const direct: number[] = [];
  const threaded: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const folder = mkdtempSync(join(tmpdir(), "drover-bench-"));
    plain.push(plainRate(join(folder, "plain.db")));
    const journal = SqliteJournal.open({ path: join(folder, "state.db") });
    direct.push(await journalRate(journal));
    await journal.close();
    threaded.push(await stateBackendRate(join(folder, "threaded.db")));
    rmSync(folder, { recursive: true });
  }
  const reference = { name: "the same rows in one fsynced transaction of 64", runs: plain };
  const bound = { atLeast: 0.5 };
  return [
    figureOf(
      "durable events, 64 in flight, through the State Backend's thread",
      "events/s",
      threaded,
      reference,
      bound,
    ),
    figureOf(
      "durable events, 64 in flight, SqliteJournal in the caller's thread",
      "events/s",
      direct,
      reference,
      bound,
    ),
  ];
}
