/**
 * The Master Service: the one port of the master. It decodes, authenticates, validates, bounds, forwards and encodes; it holds no rule of the job.
 *
 * The HTTP server is its port (src/wire). The actor itself only remembers the port number, for the next life of the master (P1), and passes on
 * what it is told: the stage of the job, that the journal has advanced, that acknowledgements wait.
 */

import type { SystemInspection } from "../src/runtime/actor-system.js";
import { type ActorContext, type ActorRef, type Ask, type PortContext, type ReplyHandle, actorRef, defineActor } from "../src/runtime/actor.js";
import { type ServiceCommand, type ServiceOptions, openServicePort } from "../src/wire/service-port.js";
import type { CallOptions, MasterCalls } from "../src/wire/master-calls.js";
import type { MasterServiceMessage } from "./protocol/master-service.js";
import {
  diagnosisMaster,
  jobAutoScaler,
  jobManager,
  masterOrchestrator,
  stateBackend,
  taskManager,
} from "./protocol/refs.js";

type Address = Readonly<{ host: string; port: number }>;
type MasterServiceEvent = Readonly<{ type: "port-taken"; port: number }>;

export type MasterServiceState = {
  /** The port that it listened on last; 0 for none yet. */
  port: number;
  readonly volatile: { address: Address | null; readonly waiting: ReplyHandle<Address>[] };
};

type Context = ActorContext<MasterServiceMessage, MasterServiceEvent>;

/** The actor of the main thread that sees all threads (embed/root-guardian.ts). */
const rootGuardian: ActorRef<Ask<"inspect-runtime", object, SystemInspection>> = actorRef("root-guardian");
const subscribeAgainMs = 500;

export const masterService = defineActor<
  MasterServiceState,
  MasterServiceMessage,
  MasterServiceEvent,
  ServiceOptions,
  ServiceCommand
>({
  name: "master-service",
  module: import.meta.url,
  init: () => stateOf(0),
  started(state, ctx) {
    ctx.perform({ type: "listen", port: state.port });
    subscribe(ctx);
  },
  receive(state, message, ctx) {
    switch (message.type) {
      case "listening":
        noteAddress(state, { host: message.host, port: message.port }, ctx);
        return;
      case "get-address":
        if (state.volatile.address) ctx.reply(state.volatile.address);
        else state.volatile.waiting.push(ctx.deferReply());
        return;
      case "stage-changed":
        ctx.perform({ type: "show-stage", stage: message.stage });
        return;
      case "journal-advanced":
        ctx.perform({ type: "wake-followers" });
        return;
      case "journal-paused":
        ctx.perform({ type: "show-pause", reason: message.reason });
        return;
      case "subscription-settled":
        // Told of its end at once where there is no State Backend: hence the wait.
        if (message.isOk) ctx.monitor(stateBackend, () => ({ type: "subscription-settled", isOk: false }));
        else ctx.after(subscribeAgainMs, "subscribe", { type: "subscribe-again" });
        return;
      case "subscribe-again":
        subscribe(ctx);
        return;
    }
  },
  apply: (state, event) => void (state.port = event.port),
  snapshot: {
    version: 1,
    take: ({ port }) => ({ port }),
    parse: (taken) => stateOf((taken as { port: number }).port),
  },
  openPort: (options, ctx) => openServicePort(options, ctx, callsOf(ctx)),
});

function stateOf(port: number): MasterServiceState {
  return { port, volatile: { address: null, waiting: [] } };
}

function noteAddress(state: MasterServiceState, address: Address, ctx: Context): void {
  if (address.port !== state.port) ctx.emit({ type: "port-taken", port: address.port });
  state.volatile.address = address;
  for (const handle of state.volatile.waiting.splice(0)) ctx.answer(handle, address);
}

function subscribe(ctx: Context): void {
  const toMessage = (outcome: { ok: boolean }): MasterServiceMessage => ({ type: "subscription-settled", isOk: outcome.ok });
  ctx.ask(stateBackend, { type: "subscribe", subscriber: ctx.self }, toMessage, { isIdempotent: true });
}

/** What the API asks, as messages to whoever answers it. Reads and what is level-triggered may be delivered twice; a command only by its id. */
function callsOf(ctx: PortContext<MasterServiceMessage>): MasterCalls {
  const twice = ({ deadlineMs = 10_000 }: CallOptions = {}): { deadlineMs: number; isIdempotent: boolean } => ({ deadlineMs, isIdempotent: true });
  const once = ({ deadlineMs = 10_000, requestId = null }: CallOptions): { deadlineMs: number; requestId?: string; isIdempotent?: boolean } =>
    requestId === null ? { deadlineMs } : { deadlineMs, requestId, isIdempotent: true };
  return {
    registerAgent: (agent) => ctx.ask(jobManager, { type: "register-agent", ...agent }, twice()),
    joinRound: (join) => ctx.ask(jobManager, { type: "join-round", ...join }, twice()),
    reportRanks: (report) => ctx.ask(jobManager, { type: "report-ranks", ...report }, twice()),
    reportProgress: (report) => ctx.ask(jobManager, { type: "report-progress", ...report }, twice()),
    reportProbe: (report) => ctx.ask(jobManager, { type: "report-probe", ...report }, twice()),
    awaitDesired: (poll, options) => ctx.ask(jobManager, { type: "await-desired", ...poll }, twice(options)),
    agentDisconnected: (agent) => ctx.tell(jobManager, { type: "agent-disconnected", ...agent }),

    registerDataset: (dataset) => ctx.ask(taskManager, { type: "register-dataset", dataset }, twice()),
    leaseShard: (request, options) => ctx.ask(taskManager, { type: "lease-shard", ...request }, twice(options)),
    finishShard: (end) => ctx.ask(taskManager, { type: "finish-shard", ...end }, twice()),
    checkpointDataset: (dataset) => ctx.ask(taskManager, { type: "checkpoint-dataset", dataset }, twice()),
    restoreDataset: (checkpoint, options) => ctx.ask(taskManager, { type: "restore-dataset", ...checkpoint }, once(options)),
    extendStream: (extent) => ctx.ask(taskManager, { type: "extend-stream", ...extent }, twice()),
    listDatasets: () => ctx.ask(taskManager, { type: "list-datasets" }, twice()),

    getJob: (options) => ctx.ask(masterOrchestrator, { type: "get-job" }, twice(options)),
    getWorld: (options) => ctx.ask(jobManager, { type: "get-world" }, twice(options)),
    stopJob: (wish, options) => ctx.ask(masterOrchestrator, { type: "stop-job", ...wish }, once(options)),
    pauseJob: (wish, options) => ctx.ask(masterOrchestrator, { type: "pause-job", ...wish }, once(options)),
    resumeJob: (options) => ctx.ask(masterOrchestrator, { type: "resume-job" }, once(options)),
    scaleJob: (wish, options) => ctx.ask(jobAutoScaler, { type: "scale-job", ...wish }, once(options)),
    actOnNode: (wish, options) => ctx.ask(jobManager, { type: "act-on-node", ...wish }, once(options)),
    // The answer to a request is of the request's own kind (src/job/dlrover/dlrover-request.ts).
    askDlrover: (sender, request, options) => ctx.ask(jobManager, { type: "dlrover", sender, request }, twice(options)) as Promise<never>,
    listFindings: () => ctx.ask(diagnosisMaster, { type: "list-findings" }, twice()),

    inspectRuntime: (options) => ctx.ask(rootGuardian, { type: "inspect-runtime" }, twice(options)),
    inspectStore: (options) => ctx.ask(stateBackend, { type: "inspect" }, twice(options)),
  };
}
