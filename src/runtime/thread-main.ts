/** The first code of every worker thread: one `Host`, governed through `ThreadControl`. */

import { parentPort, workerData } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { ActorJournal } from "./actor-journal.js";
import { systemClock } from "./clock.js";
import { definitionAt } from "./definition.js";
import { errorData } from "./envelope.js";
import { Host } from "./host.js";
import { PortLink } from "./port-link.js";
import { rehearse } from "./rehearsal.js";
import type { ThreadControl, ThreadData, ThreadEvent } from "./thread-control.js";

const { host: index, events } = workerData as ThreadData;
const tell = (event: ThreadEvent): void => events.postMessage(event);

const host = new Host({
  index,
  clock: systemClock,
  random: Math.random,
  log: (line) => tell({ kind: "log", line }),
  onFailed: (actor, reason, error) => tell({ kind: "failed", actor, reason, error }),
  onStopped: (actor) => tell({ kind: "stopped", actor }),
});

const control: ThreadControl = {
  warm: async (modules) => {
    await Promise.all(modules.map((module) => import(module) as Promise<unknown>));
    await rehearse();
  },
  connect: (peer, port) => host.connect(peer, new PortLink(port, host, peer)),
  useJournal: (actor) => {
    host.journal = new ActorJournal(actor, (message) => host.ask(actor, message, { deadlineMs: 3_600_000, isIdempotent: true }));
  },
  place: (id, peer) => host.place(id, peer),
  lose: (ids, reason, isComingBack) => host.lose(ids, reason, isComingBack),
  start: async ({ id, module, name, options, capacity }) => {
    try {
      await host.startActor(id, await definitionAt({ module, name }), options, capacity ?? undefined);
      return null;
    } catch (thrown) {
      return errorData(thrown);
    }
  },
  stop: (id) => host.stopActor(id),
  inspect: () => ({ cells: host.inspect(), counters: host.counters() }),
  ping: () => undefined,
};

if (!parentPort) throw new Error("thread-main runs in worker threads only");
Comlink.expose(control, nodeEndpoint(parentPort));
