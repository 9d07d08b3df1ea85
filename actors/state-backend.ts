/**
 * The State Backend: the one writer of the job's SQLite file, on behalf of every durable actor.
 *
 * Owns who waits for what, and who is told of new events. The file is behind its port (src/store/state-port.ts). It has
 * no durable state of its own: an ask that it had not answered when it was restarted is sent again by the asker,
 * appends being idempotent (J2).
 *
 * - B1  All writes of one batch of messages go to the port as one group, hence into one transaction.
 * - B2  A write is answered only with what the port reported of it.
 * - B3  Subscribers are told that the journal has advanced at most every `announceEveryMs`, and always of the last
 *       advance.
 */

import { type ActorContext, defineActor, type ReplyHandle, type Tell } from "../src/runtime/actor.js";
import type { JournalMessage, PauseReason, SubscriberRef } from "../src/store/journal-messages.js";
import { openStatePort, type StatePortCommand, type StatePortReport } from "../src/store/state-port.js";
import type { StoreOptions } from "../src/store/state-store.js";

export type StateBackendOptions = StoreOptions;

export type StateBackendMessage =
  JournalMessage | StatePortReport | Tell<"announce"> | Tell<"subscriber-stopped", { subscriber: string }>;

/** Further subscribers are refused with TOO_MANY_SUBSCRIBERS. */
export const subscribersMax = 64;
const announceEveryMs = 20;

/** Nothing of it survives; the journal is the port's. */
export type StateBackendState = {
  readonly volatile: {
    nextNumber: number;
    /** What this batch of messages asked to write, and who asked (B1). */
    frames: Uint8Array[];
    askers: ReplyHandle<unknown>[];
    /** Askers of the groups that the port has, by number of the group. */
    readonly groups: Map<number, readonly ReplyHandle<unknown>[]>;
    /** Askers of everything else, by number of the request. */
    readonly requests: Map<number, ReplyHandle<unknown>>;
    readonly subscribers: Map<string, SubscriberRef>;
    commitSeq: number;
    announcedSeq: number;
    isAnnouncing: boolean;
    paused: PauseReason | null;
  };
};

type Context = ActorContext<StateBackendMessage, never>;

export const stateBackend = defineActor<
  StateBackendState,
  StateBackendMessage,
  never,
  StateBackendOptions,
  StatePortCommand
>({
  name: "state-backend",
  module: import.meta.url,
  init: () => ({
    volatile: {
      nextNumber: 1,
      frames: [],
      askers: [],
      groups: new Map(),
      requests: new Map(),
      subscribers: new Map(),
      commitSeq: 0,
      announcedSeq: 0,
      isAnnouncing: false,
      paused: null,
    },
  }),

  receive({ volatile: state }, message, ctx) {
    switch (message.type) {
      case "write":
        state.frames.push(message.frame);
        state.askers.push(ctx.deferReply());
        break;
      case "load":
        // Whatever was asked before the load is written before it (J3).
        flush(state, ctx);
        request(state, ctx, (number) => ({ type: "load", request: number, actor: message.actor }));
        break;
      case "read-history":
        request(state, ctx, (number) => ({ type: "read-history", request: number, query: message.query }));
        break;
      case "inspect":
        request(state, ctx, (number) => ({ type: "inspect", request: number }));
        break;
      case "subscribe":
        ctx.reply(subscribe(state, message.subscriber, ctx));
        break;
      case "unsubscribe":
        state.subscribers.delete(message.subscriber.id);
        break;
      case "subscriber-stopped":
        state.subscribers.delete(message.subscriber);
        break;
      case "batch-written":
        state.groups.get(message.batch)?.forEach((asker, index) => ctx.answer(asker, message.replies[index])); // B2
        state.groups.delete(message.batch);
        state.commitSeq = Math.max(state.commitSeq, message.commitSeq);
        announce(state, ctx);
        break;
      case "request-done": {
        const asker = state.requests.get(message.request);
        if (asker !== undefined) ctx.answer(asker, message.reply);
        state.requests.delete(message.request);
        break;
      }
      case "acknowledgements-paused":
        state.paused = message.reason;
        for (const subscriber of state.subscribers.values())
          ctx.tell(subscriber, { type: "journal-paused", reason: message.reason });
        break;
      case "announce":
        state.isAnnouncing = false;
        announce(state, ctx);
        break;
    }
  },

  apply: () => undefined,
  batchEnd: ({ volatile }, ctx) => flush(volatile, ctx),
  openPort: openStatePort,
});

// B1
function flush(state: StateBackendState["volatile"], ctx: Context): void {
  if (state.frames.length === 0) return;
  const command: StatePortCommand = { type: "write", batch: state.nextNumber++, frames: state.frames };
  state.groups.set(command.batch, state.askers);
  state.frames = [];
  state.askers = [];
  ctx.perform(command);
}

function request(
  state: StateBackendState["volatile"],
  ctx: Context,
  toCommand: (number: number) => StatePortCommand,
): void {
  const number = state.nextNumber++;
  state.requests.set(number, ctx.deferReply());
  ctx.perform(toCommand(number));
}

function subscribe(state: StateBackendState["volatile"], subscriber: SubscriberRef, ctx: Context): object {
  if (!state.subscribers.has(subscriber.id)) {
    if (state.subscribers.size >= subscribersMax) {
      return { ok: false, code: "TOO_MANY_SUBSCRIBERS", message: `${subscribersMax} subscribers are there already.` };
    }
    state.subscribers.set(subscriber.id, subscriber);
    ctx.monitor(subscriber, () => ({ type: "subscriber-stopped", subscriber: subscriber.id }));
    if (state.paused !== null) ctx.tell(subscriber, { type: "journal-paused", reason: state.paused });
  }
  return { ok: true };
}

// B3
function announce(state: StateBackendState["volatile"], ctx: Context): void {
  if (state.isAnnouncing || state.commitSeq === state.announcedSeq) return;
  state.announcedSeq = state.commitSeq;
  if (state.subscribers.size === 0) return;
  for (const subscriber of state.subscribers.values())
    ctx.tell(subscriber, { type: "journal-advanced", commitSeq: state.commitSeq });
  state.isAnnouncing = true;
  ctx.after(announceEveryMs, "announce", { type: "announce" });
}
