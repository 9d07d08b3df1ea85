/**
 * An actor system: the door of the runtime. It has no global state, prints nothing and takes no signal; `close` ends all that it started.
 *
 * The root guardian lives here, in the caller's thread, for only it can make threads. Failures climb from child to supervisor to guardian;
 * one that gets to the top ends the system, and `ended` says why.
 */

import { BoundaryError } from "../base/errors.js";
import type { Journal } from "../store/journal.js";
import type { ActorPort, ActorRef, AskOptions, ExitReason, PortContext, ReplyOf, Typed } from "./actor.js";
import type { CellInspection } from "./actor-cell.js";
import { ActorJournal } from "./actor-journal.js";
import type { AnyDefinition, LogLine } from "./cell-host.js";
import { type Clock, systemClock } from "./clock.js";
import { definitionAt } from "./definition.js";
import type { ErrorData } from "./envelope.js";
import { Host } from "./host.js";
import { type ChildSpec, type SupervisorSpec, shutdownMsDefault } from "./supervision.js";
import { Supervisor, type SupervisorSystem } from "./supervisor.js";
import type { HostCounters } from "./thread-control.js";
import type { Thread } from "./thread.js";
import { Threads, within } from "./threads.js";

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

/** A tree that has just started has better to do; an actor that has just failed may fail again. */
const spareAfterStartMs = 1_000;
const spareAfterRestartMs = 20;

export class ActorSystem implements SupervisorSystem {
  readonly clock: Clock;
  /** Settles when the system ends: `shutdown` after `close`, else what climbed to the root guardian. */
  readonly ended: Promise<ExitReason>;
  readonly #options: SystemOptions;
  readonly #host: Host;
  readonly #threads: Threads;
  readonly #supervisors: Supervisor[] = [];
  /** The supervisor of each supervised actor. */
  readonly #parents = new Map<string, Supervisor>();
  #end: (reason: ExitReason) => void = () => undefined;
  #closing: Promise<void> | null = null;

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
      onStopped: (actor) => this.#ended([actor], { kind: "normal" }),
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
      onEvent: (event, from) => {
        if (event.kind === "log") options.log?.(event.line);
        else if (event.kind === "failed") this.#failed(event.actor, event.reason, event.error, from);
        else void this.#threads.discard(event.actor, from).then(() => this.#ended([event.actor], { kind: "normal" }));
      },
      onLost: (actors, reason) => this.#ended(actors, reason),
    });
  }

  #backend(id: string): Journal {
    return new ActorJournal(id, (message) => this.#host.ask(id, message, { deadlineMs: 3_600_000, isIdempotent: true }));
  }

  random(): number {
    return this.#host.random();
  }

  /**
   * Starts a supervision tree. Rejects when a child does not start; then nothing of the tree is left. Messages to its actors wait from now
   * on until each is there.
   *
   * @throws BoundaryError DUPLICATE_ACTOR when an id is taken
   */
  async supervise(spec: SupervisorSpec): Promise<void> {
    const supervisor = new Supervisor(spec, this, (reason) => this.#escalated(reason));
    const parents = new Map([...supervisor.actors()].map(([{ id }, parent]) => [id, parent]));
    const taken = [...parents.keys()].find((id) => this.#parents.has(id) || this.#host.cellOf(id));
    if (taken !== undefined) throw new BoundaryError("DUPLICATE_ACTOR", `there is an actor named ${taken} already`, { value: taken });
    for (const [id, parent] of parents) this.#parents.set(id, parent);
    this.#supervisors.push(supervisor);
    this.#threads.lose([...parents.keys()], { kind: "shutdown" }, true); // T2
    try {
      await supervisor.start();
    } catch (thrown) {
      this.#supervisors.splice(this.#supervisors.indexOf(supervisor), 1);
      for (const id of parents.keys()) this.#parents.delete(id);
      this.#threads.lose([...parents.keys()], { kind: "shutdown" }, false);
      throw thrown;
    }
    if (this.#threads.all().length > 0) this.#threads.keepSpare(spareAfterStartMs);
  }

  /** Has threads ready for actors that will be supervised later: their start is then a matter of milliseconds. */
  prepare(specs: readonly ChildSpec[]): void {
    this.#threads.prepare(specs);
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
    const others = this.#threads.all().map(async (thread) => {
      const inspected = thread.call((control) => control.inspect());
      return inspected.then((inspection) => [{ host: thread.index, ...inspection }], () => []); // It went meanwhile: nothing lives there.
    });
    const hosts = [own, ...(await Promise.all(others)).flat()];
    const actors = hosts.flatMap(({ host, cells }) => cells.map((cell) => ({ ...cell, host, restarts: this.#restartsOf(cell.id) })));
    const sum = (key: keyof HostCounters): number => hosts.reduce((total, { counters }) => total + counters[key], 0);
    const counters = { deadLetters: sum("deadLetters"), lateAnswers: sum("lateAnswers"), openAsks: sum("openAsks") };
    return { actors, counters, threads: others.length };
  }

  #restartsOf(actor: string): number {
    return this.#parents.get(actor)?.restartsOf(actor) ?? 0;
  }

  /** Ends the thread of an actor as a crash would. For tests of what is built on this runtime. */
  crash(actor: string): void {
    const thread = this.#threads.threadOf(actor);
    if (thread) thread.terminate({ kind: "thread-exit", message: "crashed on purpose" });
    else this.#host.cellOf(actor)?.fail(new Error("crashed on purpose"));
  }

  /** Ends all actors and threads; what was asked ends with `SYSTEM_CLOSED`. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    for (const supervisor of [...this.#supervisors].reverse()) await supervisor.stop();
    await this.#host.close();
    await this.#threads.close();
    this.#end({ kind: "shutdown" });
  }

  // ── what supervisors ask for

  async startChild(spec: ChildSpec): Promise<void> {
    if ((spec.placement ?? "inline") !== "inline") return this.#threads.start(spec);
    await this.#host.startActor(spec.id, await definitionAt(spec.definition), spec.options, spec.mailboxCapacity);
    this.#threads.place(spec.id, this.#host.index);
  }

  async stopChild(spec: ChildSpec): Promise<void> {
    if ((spec.placement ?? "inline") === "inline") await within(spec.shutdownMs ?? shutdownMsDefault, this.#host.stopActor(spec.id));
    else await this.#threads.stop(spec);
  }

  loseChild(spec: ChildSpec, reason: ExitReason, isComingBack: boolean): void {
    this.#threads.lose([spec.id], reason, isComingBack);
  }

  restarted(supervisor: SupervisorSpec, child: string, reason: ExitReason, restarts: number): void {
    const why = "message" in reason ? reason.message : reason.kind;
    this.#options.log?.({ level: "warn", actor: child, text: "restarted", fields: { why, restarts } });
    if (supervisor.notify) this.tell(supervisor.notify, { type: "child-restarted", child, why, restarts } as Typed);
    if (this.#threads.all().length > 0) this.#threads.keepSpare(spareAfterRestartMs);
  }

  #failed(actor: string, reason: ExitReason, error: ErrorData, from?: Thread): void {
    this.#options.log?.({ level: "error", actor, text: "failed", fields: { error: error.stack || error.message } });
    if (from) void this.#threads.discard(actor, from).then(() => this.#ended([actor], reason));
    else this.#ended([actor], reason);
  }

  #ended(actors: readonly string[], reason: ExitReason): void {
    const byParent = new Map<Supervisor | undefined, string[]>();
    for (const actor of actors) {
      const parent = this.#parents.get(actor);
      const ids = byParent.get(parent);
      if (ids) ids.push(actor);
      else byParent.set(parent, [actor]);
    }
    for (const [parent, ids] of byParent) {
      if (parent) parent.childrenEnded(ids, reason);
      else this.#threads.lose(ids, reason, false);
    }
  }

  #escalated(reason: ExitReason): void {
    if (this.#closing) return;
    void this.close();
    this.#end(reason);
  }
}
