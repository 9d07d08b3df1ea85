/** The actor of the main thread that answers what only it can see: all threads, mailboxes and restarts. */

import { type Ask, type PortContext, type ReplyHandle, type Tell, defineActor } from "../src/runtime/actor.js";
import type { SystemInspection } from "../src/runtime/actor-system.js";

type RootGuardianMessage = Ask<"inspect-runtime", object, SystemInspection> | Tell<"inspected", { inspection: SystemInspection }>;

/** `inspect` is the actor system's own. */
export function rootGuardianOf(inspect: () => Promise<SystemInspection>): unknown {
  return defineActor<{ waiting: ReplyHandle<SystemInspection>[] }, RootGuardianMessage, never, unknown, "inspect">({
    name: "root-guardian",
    module: import.meta.url,
    init: () => ({ waiting: [] }),
    receive(state, message, ctx) {
      if (message.type === "inspected") {
        for (const handle of state.waiting.splice(0)) ctx.answer(handle, message.inspection);
      } else if (state.waiting.push(ctx.deferReply()) === 1) {
        ctx.perform("inspect");
      }
    },
    apply: () => undefined,
    openPort: (_options: unknown, ctx: PortContext<RootGuardianMessage>) => ({
      perform: () => {
        inspect().then((inspection) => ctx.tell(ctx.self, { type: "inspected", inspection }), (thrown: unknown) => ctx.fail(new Error(String(thrown))));
      },
      close: () => Promise.resolve(),
    }),
  });
}
