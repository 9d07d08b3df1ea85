/** The actors that the benchmarks of the runtime measure. */

import { type Ask, type ReplyHandle, type Tell, actorRef, defineActor } from "../src/runtime/actor.js";

/** A message of ten fields, as LIMITS measured. */
export const tenFields = (i: number): Payload => ({ a: i, b: "two", c: 3.5, d: true, e: null, f: "six", g: 7, h: "eight", i: 9, j: "ten" });
export type Payload = Readonly<Record<"a" | "b" | "c" | "d" | "e" | "f" | "g" | "h" | "i" | "j", number | string | boolean | null>>;

export type EchoMessage = Ask<"echo", { payload: Payload }, { payload: Payload }> | Tell<"note", { payload: Payload }>;

export const benchEcho = defineActor<{ notes: number }, EchoMessage, never>({
  name: "bench-echo",
  module: import.meta.url,
  init: () => ({ notes: 0 }),
  receive(state, message, ctx) {
    if (message.type === "echo") ctx.reply({ payload: message.payload });
    else state.notes++;
  },
  apply: () => undefined,
});

type AskerMessage = Ask<"ask-many", { to: string; count: number; inFlight: number }, { asked: number }> | Tell<"was-answered">;
type AskerState = { to: string; left: number; open: number; count: number; done: ReplyHandle<{ asked: number }> | null };

/** Asks another actor `count` times with `inFlight` open at once, then answers. */
export const benchAsker = defineActor<AskerState, AskerMessage, never>({
  name: "bench-asker",
  module: import.meta.url,
  init: () => ({ to: "", left: 0, open: 0, count: 0, done: null }),
  receive(state, message, ctx) {
    const ask = (): void => {
      state.left--;
      state.open++;
      ctx.ask(actorRef<EchoMessage>(state.to), { type: "echo", payload: tenFields(state.left) }, (outcome) => ({ type: "was-answered", isOk: outcome.ok }));
    };
    if (message.type === "ask-many") {
      Object.assign(state, { to: message.to, left: message.count, open: 0, count: message.count, done: ctx.deferReply() });
      for (let i = 0; i < message.inFlight; i++) ask();
    } else {
      state.open--;
      if (state.left > 0) ask();
      else if (state.open === 0 && state.done) ctx.answer(state.done, { asked: state.count });
    }
  },
  apply: () => undefined,
});

type LedgerMessage = Ask<"add", { amount: number }, { total: number }>;

/** A durable actor with a long history, for recovery. Snapshots are off so that all of it is replayed. */
export const benchLedger = defineActor<{ total: number }, LedgerMessage, { type: "added"; amount: number; note: string }>({
  name: "bench-ledger",
  module: import.meta.url,
  init: () => ({ total: 0 }),
  receive(state, message, ctx) {
    ctx.emit({ type: "added", amount: message.amount, note: "a line in the ledger" });
    ctx.reply({ total: state.total });
  },
  apply: (state, event) => void (state.total += event.amount),
  snapshot: { version: 1, take: (state) => ({ ...state }), parse: (taken) => ({ ...(taken as { total: number }) }) },
});
