/** The actor runtime alone: a durable counter in a thread of its own, which survives a crash. */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ActorSystem, type Ask, SqliteJournal, defineActor } from "../index.js";

type CounterMessage = Ask<"add", { amount: number }, { total: number }>;

export const counter = defineActor<{ total: number }, CounterMessage, { type: "added"; amount: number }>({
  name: "example-counter",
  module: import.meta.url,
  init: () => ({ total: 0 }),
  receive(state, message, ctx) {
    ctx.emit({ type: "added", amount: message.amount });
    ctx.reply({ total: state.total }); // Leaves once the event is on the disk.
  },
  apply: (state, event) => void (state.total += event.amount),
  snapshot: { version: 1, take: (state) => state, parse: (taken) => taken as { total: number } },
});

const journal = SqliteJournal.open({ path: join(mkdtempSync(join(tmpdir(), "drover-")), "state.db") });
const system = new ActorSystem({ journal });
const ref = await system.spawn<CounterMessage>({ id: "counter", definition: counter });
await ref.ask({ type: "add", amount: 2 });
system.crash("counter");
console.log(await ref.ask({ type: "add", amount: 3 }, { isIdempotent: true })); // { total: 5 }
await system.close();
await journal.close();
