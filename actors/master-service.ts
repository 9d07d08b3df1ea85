/**
 * The Master Service: the one port of the master. It decodes, authenticates, validates, bounds, forwards and encodes; it holds no rule of the job.
 *
 * The HTTP server is its port (src/wire); the actor itself only knows what others told it: where it listens, the stage of the job, and that the
 * journal has advanced.
 */

import { type ActorPort, type ActorRef, type PortContext, type ReplyHandle, type Tell, defineActor } from "../src/runtime/actor.js";
import type { JournalMessage } from "../src/store/journal-messages.js";
import { type ServiceCommand, type ServiceOptions, openServicePort } from "../src/wire/service-port.js";
import type { MasterServiceMessage as PublicMessage } from "./protocol/master-service.js";
import * as refs from "./protocol/refs.js";

export type MasterServiceMessage =
  | PublicMessage
  /** From its port. */
  | Tell<"listening", { host: string; port: number }>
  | Tell<"journal-paused", { reason: string | null }>
  | Tell<"subscribed">
  | Tell<"subscribe-again">;

type Address = Readonly<{ host: string; port: number }>;
type State = { address: Address | null; readonly waiting: ReplyHandle<Address>[] };

const stateBackend: ActorRef<JournalMessage> = { id: "state-backend" };


export const masterService = defineActor<State, MasterServiceMessage, never, ServiceOptions, ServiceCommand>({
  name: "master-service",
  module: import.meta.url,
  init: () => ({ address: null, waiting: [] }),
  started: (_state, ctx) => ctx.tell(ctx.self, { type: "subscribe-again" }),

  receive(state, message, ctx) {
    switch (message.type) {
      case "listening":
        state.address = { host: message.host, port: message.port };
        for (const handle of state.waiting.splice(0)) ctx.answer(handle, state.address);
        return;
      case "get-address":
        if (state.address) ctx.reply(state.address);
        else state.waiting.push(ctx.deferReply());
        return;
      case "stage-changed":
        { ctx.perform({ type: "show-stage", stage: message.stage }); return; }
      case "journal-advanced":
        { ctx.perform({ type: "wake-followers" }); return; }
      case "journal-paused":
        { ctx.perform({ type: "show-pause", reason: message.reason }); return; }
      case "subscribe-again":
        ctx.monitor(stateBackend, () => ({ type: "subscribe-again" }));
        { ctx.ask(stateBackend, { type: "subscribe", subscriber: ctx.self }, (outcome) => ({
          type: outcome.ok ? "subscribed" : "subscribe-again",
        })); return; }
      case "subscribed":
        return;
    }
  },
  apply: () => undefined,
  openPort: (options: ServiceOptions, ctx: PortContext<MasterServiceMessage>): Promise<ActorPort<ServiceCommand>> =>
    openServicePort(options, ctx, refs),
});
