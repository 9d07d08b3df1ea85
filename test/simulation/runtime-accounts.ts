/**
 * A durable actor that does everything an actor may do, for the simulation of the runtime: it counts, notes to a peer
 * what it counted, answers later, asks on for others. What it sees of the runtime's promises it tells its witness.
 */

import { type ActorContext, type ActorRef, type Ask, defineActor, type ReplyHandle, type Tell } from "../../src/runtime/actor.js";

export type Sum = Readonly<{ total: number }>;

export type AccountMessage =
  | Ask<"add", { request: string; amount: number }, Sum>
  /** Answered after a while. */
  | Ask<"add-later", { request: string; amount: number; delayMs: number }, Sum>
  /** Added by `to`, which is asked until it answers. */
  | Ask<"add-elsewhere", { request: string; amount: number; to: ActorRef<AccountMessage> }, Sum>
  | Ask<"get-total", object, Sum>
  | Tell<"note", { from: string; number: number }>
  | Tell<"due", { request: string; amount: number }>
  | Tell<"ask-on", { request: string }>
  | Tell<"asked-on", { request: string; attempt: number; total: number | null }>;

export type AccountEvent =
  | Readonly<{ type: "added"; request: string; amount: number }>
  | Readonly<{ type: "note-sent"; number: number }>;

/** Hears what must hold at the moment at which it is told. */
export type Witness = Readonly<{
  /** A note was received. */
  noted: (at: string, from: string, number: number) => void;
}>;

export type AccountOptions = Readonly<{ peer: ActorRef<AccountMessage>; witness: Witness }>;

type Held = { readonly handle: ReplyHandle<Sum>; readonly to: ActorRef<AccountMessage> | null; readonly amount: number; attempt: number };
type Durable = { total: number; sent: number };
type State = Readonly<{ options: AccountOptions; durable: Durable; held: Map<string, Held> }>;
type Context = ActorContext<AccountMessage, AccountEvent>;

const retryMs = 70;

/** `everyEvents`: how long a replay may be. */
export function accountOf(everyEvents: number) {
  return defineActor<State, AccountMessage, AccountEvent, AccountOptions>({
    name: "account",
    module: import.meta.url,
    init: (options) => ({ options, durable: { total: 0, sent: 0 }, held: new Map<string, Held>() }),
    receive,
    apply: ({ durable }, event) => {
      if (event.type === "added") durable.total += event.amount;
      else durable.sent = event.number;
    },
    snapshot: {
      version: 1,
      everyEvents,
      take: ({ durable }) => durable,
      parse: (taken, _version, options) => {
        return { options: options as AccountOptions, durable: taken as Durable, held: new Map<string, Held>() };
      },
    },
  });
}

function receive(state: State, message: AccountMessage, ctx: Context): void {
  const { durable, held } = state;
  switch (message.type) {
    case "add":
      add(state, message, ctx);
      return ctx.reply({ total: durable.total });
    case "add-later":
      held.set(message.request, { handle: ctx.deferReply(), to: null, amount: message.amount, attempt: 0 });
      return ctx.after(message.delayMs, message.request, { type: "due", request: message.request, amount: message.amount });
    case "due": {
      const waiting = held.get(message.request);
      if (!waiting) throw new Error(`${message.request} is due, and nobody waits for it`);
      held.delete(message.request);
      add(state, message, ctx);
      return ctx.answer(waiting.handle, { total: durable.total });
    }
    case "add-elsewhere":
      held.set(message.request, { handle: ctx.deferReply(), to: message.to, amount: message.amount, attempt: 0 });
      return askOn(state, message.request, ctx);
    case "ask-on":
      return askOn(state, message.request, ctx);
    case "asked-on":
      return askedOn(state, message, ctx);
    case "note":
      return state.options.witness.noted(ctx.self.id, message.from, message.number);
    case "get-total":
      return ctx.reply({ total: durable.total });
  }
}

/** One event, and with each second one a note to the peer. */
function add({ options, durable }: State, { request, amount }: Readonly<{ request: string; amount: number }>, ctx: Context): void {
  ctx.emit({ type: "added", request, amount });
  if (durable.total % 2 === 0) return;
  ctx.emit({ type: "note-sent", number: durable.sent + 1 });
  ctx.tell(options.peer, { type: "note", from: ctx.self.id, number: durable.sent });
}

function askOn({ held }: State, request: string, ctx: Context): void {
  const waiting = held.get(request);
  if (!waiting?.to) return;
  const attempt = ++waiting.attempt;
  const { to, amount } = waiting;
  const toMessage = (total: number | null) => ({ type: "asked-on", request, attempt, total }) as const;
  const options = { requestId: request, deadlineMs: 1_000 };
  ctx.ask(to, { type: "add", request, amount }, (outcome) => toMessage(outcome.ok ? outcome.reply.total : null), options);
}

/** R4: each attempt ends once, so what ends is always the newest. */
function askedOn({ held }: State, { request, attempt, total }: AccountMessage & { type: "asked-on" }, ctx: Context): void {
  const waiting = held.get(request);
  if (waiting?.attempt !== attempt) throw new Error(`attempt ${attempt} of ${request} ended twice`);
  if (total === null) return ctx.after(retryMs, `again ${request}`, { type: "ask-on", request });
  held.delete(request);
  ctx.answer(waiting.handle, { total });
}
