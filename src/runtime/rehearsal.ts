/**
 * A durable actor of no meaning, started and asked once in a spare thread: what the first real actor of the thread will run is compiled then.
 *
 * It takes the same ways as a real one: through ports and frames, with its events encoded. Nothing of it reaches another thread or a file.
 */

import { MessageChannel } from "node:worker_threads";
import { packHistory } from "../store/encoded.js";
import type { JournalMessage } from "../store/journal-messages.js";
import { type Ask, defineActor } from "./actor.js";
import { ActorJournal } from "./actor-journal.js";
import { systemClock } from "./clock.js";
import { Host } from "./host.js";
import { PortLink } from "./port-link.js";

const id = "rehearsal";
const asks = 20;

type Play = Ask<"play", { note: string }, { count: number }>;

const rehearsal = defineActor<{ count: number }, Play, { type: "played"; note: string }>({
  name: id,
  module: import.meta.url,
  init: () => ({ count: 0 }),
  receive(state, { note }, ctx) {
    ctx.emit({ type: "played", note });
    ctx.reply({ count: state.count });
  },
  apply: (state) => {
    state.count += 1;
  },
  snapshot: { version: 1, everyEvents: asks, take: ({ count }) => ({ count }), parse: (taken) => ({ ...(taken as { count: number }) }) },
});

/** Loads and writes nothing. */
function answerJournal(message: JournalMessage): Promise<unknown> {
  return Promise.resolve(message.type === "load" ? { ok: true, frame: packHistory({ snapshot: null, events: [] }) } : { outcomes: null });
}

export async function rehearse(): Promise<void> {
  const hostOf = (index: number): Host => new Host({ index, clock: systemClock, random: Math.random, log: () => undefined, onFailed: () => undefined });
  const [stage, hall] = [hostOf(0), hostOf(1)];
  const { port1, port2 } = new MessageChannel();
  stage.connect(1, new PortLink(port1, stage, 1));
  hall.connect(0, new PortLink(port2, hall, 0));
  hall.place(id, 0);
  stage.journal = new ActorJournal(id, answerJournal);
  await stage.startActor(id, rehearsal, null);
  const play = (note: string): Promise<unknown> => {
    const message: Play = { type: "play", note };
    return hall.ask(id, message, { isIdempotent: true });
  };
  await play("alone");
  await Promise.all(Array.from({ length: asks }, (_, count) => play(String(count))));
  await stage.stopActor(id);
  port1.close();
}
