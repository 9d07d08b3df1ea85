/**
 * An actor system: the door of the runtime. It has no global state, prints nothing and takes no signal; `close` ends all that it started.
 *
 * The root guardian lives here, in the caller's thread, for only it can make threads. Failures climb from child to supervisor to guardian;
 * one that gets to the top ends the system, and `ended` says why.
 */

import type { Journal } from "../store/journal.js";
import type { ActorPort, ActorRef, AskOptions, ExitReason, PortContext, ReplyOf, Typed } from "./actor.js";
import type { CellInspection } from "./actor-cell.js";
import { ActorJournal } from "./actor-journal.js";
import type { AnyDefinition, LogLine } from "./cell-host.js";
import { type Clock, systemClock } from "./clock.js";
import type { ErrorData } from "./envelope.js";
import { Host } from "./host.js";
import { type ChildSpec, type SupervisorSpec } from "./supervision.js";
import { Supervisor, type SupervisorSystem } from "./supervisor.js";
import type { HostCounters } from "./thread-control.js";
import { Threads } from "./threads.js";

export type SystemOptions = Readonly<{
  /** Default: the clock of the process. */
  clock?: Clock;
  /** Default `Math.random`. */
  random?: () => number;
  /** Lines of actors and of the runtime. Default: dropped. */
  log?: (line: LogLine) => void;
  /** Where durable actors keep their events: a journal for actors in this thread, or the ref of a State Backend for all. Default none. */
  journal?: Journal | ActorRef<Typed>;
  /** Ports that stand in for the definitions' own, by actor id. */
  ports?: Readonly<Record<string, (context: PortContext<Typed>) => ActorPort<unknown>>>;
  /** Threads that actors placed as `shared` share, 1 to 64. Default 2. */
  sharedThreads?: number;
  /** Heap of a thread in MiB unless its spec says otherwise. Default 512. */
  heapMiB?: number;
  /** Health probe of threads. Default every 1,000 ms, ended after 5,000 ms without an answer. */
  probe?: Readonly<{ everyMs: number; deadlineMs: number }>;
  /** Passes inline messages through the codec, as if they crossed a thread (tests). */
  copy?: <Value>(value: Value) => Value;
  /** How inline actors get their turn. Default: the microtask queue. */
  defer?: (call: () => void) => void;
}>;

export type SystemInspection = Readonly<{
  actors: readonly (CellInspection & Readonly<{ host: number; restarts: number }>)[];
  counters: HostCounters;
  threads: number;
}>;

/** An actor as its users see it. */
export type BoundRef<Message extends Typed> = Readonly<{
  ref: ActorRef<Message>;
  tell(message: Message): void;
  /** Rejects with `AskError`. */
  ask<Type extends Message["type"]>(message: Message & Readonly<{ type: Type }>, options?: AskOptions): Promise<ReplyOf<Message, Type>>;
}>;

export class ActorSystem implements SupervisorSystem {
  readonly clock: Clock;
  /** Settles when the system ends: `shutdown` after `close`, else what climbed to the root guardian. */
  readonly ended: Promise<ExitReason>;
  readonly #options: SystemOptions;
  readonly #host: Host;
  readonly #threads: Threads;
  readonly #supervisors: Supervisor[] = [];
  #end: (reason: ExitReason) => void = () => undefined;
  #isClosing = false;

  constructor(options: SystemOptions = {}) {
    this.#options = options;
    this.clock = options.clock ?? systemClock;
    this.ended = new Promise((resolve) => (this.#end = resolve));
    const { journal } = options;
    this.#host = new Host({
      index: 0,
      clock: this.clock,
      random: options.random ?? Math.random,
      log: options.log ?? (() => undefined),
      onFailed: (actor, reason, error) => this.#failed(actor, reason, error),
      ...(options.ports ? { ports: options.ports } : {}),
      ...(options.copy ? { copy: options.copy } : {}),
      ...(options.defer ? { defer: options.defer } : {}),
    });
    const backend = journal && "id" in journal ? journal.id : null;
    this.#host.journal = backend === null ? ((journal as Journal | undefined) ?? null) : this.#backend(backend);
    this.#threads = new Threads({
      host: this.#host,
      sharedThreads: options.sharedThreads ?? 2,
      heapMiB: options.heapMiB ?? 512,
      probe: options.probe ?? { everyMs: 1_000, deadlineMs: 5_000 },
      journal: backend,
      onEvent: (event) => {
        if (event.kind === "log") options.log?.(event.line);
        else this.#failed(event.actor, event.reason, event.error);
      },
      onLost: (actors, reason) => {
        for (const actor of actors) this.#ended(actor, reason);
      },
    });
  }

  #backend(id: string): Journal {
    return new ActorJournal(id, (message) => this.#host.ask(id, message, { deadlineMs: 3_600_000, isIdempotent: true }));
  }

  random(): number {
    return this.#host.random();
  }

  /** Starts a supervision tree. Rejects when a child does not start; then nothing of the tree is left. */
  async supervise(spec: SupervisorSpec): Promise<void> {
    const supervisor = new Supervisor(spec, this, (reason) => this.#escalated(reason));
    const isThreaded = supervisor.actors().some(({ placement }) => (placement ?? "inline") !== "inline");
    const ids = supervisor.actors().map(({ id }) => id);
    if (isThreaded) this.#threads.lose(ids, { kind: "shutdown" }, true); // Parks messages until each is there (T2).
    this.#supervisors.push(supervisor);
    try {
      await supervisor.start();
    } catch (thrown) {
      this.#supervisors.splice(this.#supervisors.indexOf(supervisor), 1);
      await supervisor.stop();
      throw thrown;
    }
    if (isThreaded) this.#threads.keepSpare();
  }

  /** Starts one actor under a supervisor of its own. */
  async spawn<Message extends Typed>(spec: ChildSpec): Promise<BoundRef<Message>> {
    await this.supervise({ id: `${spec.id}-supervisor`, strategy: "one-for-one", children: [spec] });
    return this.ref<Message>(spec.id);
  }

  /** Starts an actor of the caller's thread that is neither durable nor has a port, unsupervised: an object and no more. */
  spawnPlain<Message extends Typed>(id: string, definition: unknown, options?: unknown): ActorRef<Message> {
    this.#host.startPlain(id, definition as AnyDefinition, options);
    return { id };
  }

  ref<Message extends Typed>(id: string): BoundRef<Message> {
    const ref: ActorRef<Message> = { id };
    return { ref, tell: (message) => this.tell(ref, message), ask: (message, options) => this.ask(ref, message, options) };
  }

  tell<Message extends Typed>(to: ActorRef<Message>, message: Message): void {
    this.#host.sendTell("system", to.id, message, false, null);
  }

  /** Rejects with `AskError`. */
  ask<Message extends Typed, Type extends Message["type"]>(
    to: ActorRef<Message>,
    message: Message & Readonly<{ type: Type }>,
    options?: AskOptions,
  ): Promise<ReplyOf<Message, Type>> {
    return this.#host.ask(to.id, message, options) as Promise<ReplyOf<Message, Type>>;
  }

  /** Depth, counts and restarts of every actor, wherever it lives. Threads that are busy are waited for. */
  async inspect(): Promise<SystemInspection> {
    const own = { host: 0, cells: this.#host.inspect(), counters: this.#host.counters() };
    const others = this.#threads.all().map(async (thread) => ({ host: thread.index, ...(await thread.control.inspect()) }));
    const hosts = [own, ...(await Promise.all(others))];
    const actors = hosts.flatMap(({ host, cells }) => cells.map((cell) => ({ ...cell, host, restarts: this.#restartsOf(cell.id) })));
    const sum = (key: keyof HostCounters): number => hosts.reduce((total, { counters }) => total + counters[key], 0);
    const counters = { deadLetters: sum("deadLetters"), lateAnswers: sum("lateAnswers"), openAsks: sum("openAsks") };
    return { actors, counters, threads: others.length };
  }

  #restartsOf(actor: string): number {
    return this.#supervisors.map((root) => root.parentOf(actor)?.restartsOf(actor)).find((count) => count !== undefined) ?? 0;
  }

  /** Ends the thread of an actor as a crash would. For tests of what is built on this runtime. */
  crash(actor: string): void {
    const thread = this.#threads.threadOf(actor);
    if (thread) thread.terminate({ kind: "thread-exit", message: "crashed on purpose" });
    else this.#host.cellOf(actor)?.fail(new Error("crashed on purpose"), "error");
  }

  /** Ends all actors and threads; what was asked ends with `SYSTEM_CLOSED`. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    for (const supervisor of [...this.#supervisors].reverse()) await supervisor.stop();
    await this.#host.close();
    await this.#threads.close();
    this.#end({ kind: "shutdown" });
  }

  // ── what supervisors ask for

  async startChild(spec: ChildSpec): Promise<void> {
    if ((spec.placement ?? "inline") !== "inline") return this.#threads.start(spec);
    await this.#host.startActor(spec.id, spec.definition, spec.options, spec.mailboxCapacity);
    this.#threads.place(spec.id, this.#host.index);
  }

  async stopChild(spec: ChildSpec): Promise<void> {
    if ((spec.placement ?? "inline") === "inline") await this.#host.stopActor(spec.id);
    else await this.#threads.stop(spec);
  }

  loseChild(spec: ChildSpec, reason: ExitReason, isComingBack: boolean): void {
    this.#threads.lose([spec.id], reason, isComingBack);
  }

  restarted(supervisor: SupervisorSpec, child: string, reason: ExitReason, restarts: number): void {
    const why = "message" in reason ? reason.message : reason.kind;
    this.#options.log?.({ level: "warn", actor: child, text: "restarted", fields: { why, restarts } });
    if (supervisor.notify) this.tell(supervisor.notify, { type: "child-restarted", child, why, restarts } as Typed);
    if (this.#threads.all().length > 0) this.#threads.keepSpare();
  }

  #failed(actor: string, reason: ExitReason, error: ErrorData): void {
    this.#options.log?.({ level: "error", actor, text: "failed", fields: { error: error.stack || error.message } });
    void this.#threads.discard(actor).then(() => this.#ended(actor, reason));
  }

  #ended(actor: string, reason: ExitReason): void {
    const parents = this.#supervisors.flatMap((root) => root.parentOf(actor) ?? []);
    for (const parent of parents) parent.childEnded(actor, reason);
    if (parents.length === 0) this.#threads.lose([actor], reason, false);
  }

  #escalated(reason: ExitReason): void {
    if (this.#isClosing) return;
    void this.close();
    this.#end(reason);
  }
}
