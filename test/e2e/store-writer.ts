/**
 * A process (or thread) that writes a journal until it is killed. Argument: path of the state file. For every
 * acknowledged batch it prints `<actor> <seq>` in one write; an actor's events are `countedEvents`.
 */

import { writeSync } from "node:fs";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { countedEvents } from "../fixtures/state-folder.js";

export const writerActors = ["a", "b", "c", "d", "e", "f"] as const;

async function write(journal: SqliteJournal, actor: string, say: (line: string) => void): Promise<never> {
  const { events, snapshot } = await journal.load(actor);
  let seq = events.at(-1)?.seq ?? snapshot?.seq ?? 0;
  for (;;) {
    const last = seq + 1 + (seq % 5);
    await journal.append(actor, countedEvents(seq + 1, last));
    say(`${actor} ${last}\n`);
    if (last % 50 < 5) await journal.saveSnapshot(actor, { seq: last, version: 1, state: { last } });
    seq = last;
  }
}

const path = process.argv[2];
if (path !== undefined && process.argv[1]?.includes("store-writer") === true) {
  const journal = SqliteJournal.open({ path });
  writeSync(1, "open\n");
  for (const actor of writerActors) void write(journal, actor, (line) => void writeSync(1, line));
}
