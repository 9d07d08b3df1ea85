/**
 * All threads of one actor system, and the table of who lives where.
 *
 * - T1  Every pair of hosts has a port of its own; messages never go by way of the main thread.
 * - T2  An actor's place is known to every host before any message can ask for it: until then messages to it are parked.
 * - T3  One spare thread is warm: joined to all others, with every known module loaded, and rehearsed. So is one for each actor that `prepare` was told of.
 * - T4  A thread that does not answer its probe is ended; its actors are lost to all hosts at once.
 */

import type { ExitReason } from "./actor.js";
import { errorFrom } from "./envelope.js";
import type { Host } from "./host.js";
import { PortLink } from "./port-link.js";
import { type ChildSpec, shutdownMsDefault } from "./supervision.js";
import { Thread } from "./thread.js";
import type { StartActor, ThreadEvent } from "./thread-control.js";

export type ThreadsOptions = Readonly<{
  host: Host;
  /** Threads that actors with `placement: "shared"` share. */
  sharedThreads: number;
  heapMiB: number;
  probe: Readonly<{ everyMs: number; deadlineMs: number }>;
  journal: string | null;
  onEvent: (event: ThreadEvent, from: Thread) => void;
  /** A thread went and these actors with it. */
  onLost: (actors: readonly string[], reason: ExitReason) => void;
}>;


export class Threads {
  readonly #options: ThreadsOptions;
  readonly #threads = new Map<number, Thread>();
  /** The thread of each actor that lives in one. */
  readonly #homes = new Map<string, Thread>();
  readonly #shared: Thread[] = [];
  readonly #modules = new Set<string>();
  #spare: Thread | null = null;
  /** Threads that wait for an actor of this module. */
  readonly #prepared = new Map<string, Thread>();
  #lastIndex = 0;
  #nextShared = 0;
  #spareTimer: NodeJS.Timeout | null = null;
  #probeTimer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(options: ThreadsOptions) {
    this.#options = options;
  }

  all(): readonly Thread[] {
    return [...this.#threads.values()];
  }

  threadOf(actor: string): Thread | undefined {
    return this.#homes.get(actor);
  }

  /** Starts the actor in a thread as its spec says. The place is told to all hosts once it answers (T2). */
  async start(spec: ChildSpec): Promise<void> {
    const { module, name } = spec.definition;
    this.#modules.add(module);
    const isShared = spec.placement === "shared";
    const thread = isShared ? this.#sharedThread() : this.#ownThread(module, spec.heapMiB ?? this.#options.heapMiB);
    thread.actors.add(spec.id);
    this.#homes.set(spec.id, thread);
    const start: StartActor = { id: spec.id, module, name, options: spec.options, capacity: spec.mailboxCapacity ?? null };
    try {
      const failure = await thread.call((control) => control.start(start));
      if (failure) throw errorFrom(failure);
    } catch (thrown) {
      await this.#leave(spec.id, thread);
      throw thrown;
    }
    this.place(spec.id, thread.index);
  }

  /** Tells every host where the actor lives. */
  place(id: string, index: number): void {
    this.#options.host.place(id, index);
    for (const thread of this.all()) if (thread.index !== index) thread.send((control) => control.place(id, index));
  }

  /** Tells every host that actors are gone, or will be back (then messages wait for them). */
  lose(ids: readonly string[], reason: ExitReason, isComingBack: boolean): void {
    this.#options.host.lose(ids, reason, isComingBack);
    for (const thread of this.all()) thread.send((control) => control.lose(ids, reason, isComingBack));
  }

  /** Ends an actor. It is cut off after `shutdownMs`; a thread of its own ends with it either way. */
  async stop(spec: ChildSpec): Promise<void> {
    const thread = this.threadOf(spec.id);
    if (!thread) return;
    await within(spec.shutdownMs ?? shutdownMsDefault, thread.call((control) => control.stop(spec.id)));
    await this.#leave(spec.id, thread);
  }

  /** Forgets an actor that ended in this thread, and ends the thread if it was its own. */
  async discard(actor: string, thread: Thread): Promise<void> {
    if (this.threadOf(actor) === thread) await this.#leave(actor, thread);
  }

  async #leave(actor: string, thread: Thread): Promise<void> {
    thread.actors.delete(actor);
    if (this.#homes.get(actor) === thread) this.#homes.delete(actor);
    if (!this.#shared.includes(thread)) await this.#end(thread);
  }

  async #end(thread: Thread): Promise<void> {
    this.#threads.delete(thread.index);
    await thread.end();
  }

  /** Has a thread ready for each actor that is to have one of its own (T3). */
  prepare(specs: readonly ChildSpec[]): void {
    for (const { definition, placement, heapMiB } of specs) {
      if (placement !== "thread" || this.#prepared.has(definition.module)) continue;
      const thread = this.#open(heapMiB ?? this.#options.heapMiB);
      this.#prepared.set(definition.module, thread);
      thread.send((control) => control.warm([definition.module]));
    }
  }

  /** Has a spare thread ready `afterMs` from now (T3): what has just been started comes first, for making a thread takes time from it. */
  keepSpare(afterMs: number): void {
    if (this.#isClosed || this.#spare || this.#spareTimer) return;
    this.#spareTimer = setTimeout(() => {
      this.#spareTimer = null;
      const spare = this.#open(this.#options.heapMiB);
      this.#spare = spare;
      spare.send((control) => control.warm([...this.#modules]));
    }, afterMs);
    this.#spareTimer.unref();
  }

  #ownThread(module: string, heapMiB: number): Thread {
    const prepared = this.#prepared.get(module);
    this.#prepared.delete(module);
    if (prepared?.heapMiB === heapMiB) return prepared;
    const spare = this.#spare;
    if (!spare || spare.heapMiB !== heapMiB) return this.#open(heapMiB);
    this.#spare = null;
    return spare;
  }

  #sharedThread(): Thread {
    const index = this.#nextShared++ % this.#options.sharedThreads;
    return (this.#shared[index] ??= this.#open(this.#options.heapMiB));
  }

  #open(heapMiB: number): Thread {
    const index = ++this.#lastIndex;
    const { host, journal, onEvent } = this.#options;
    const thread: Thread = new Thread({
      index,
      heapMiB,
      onEvent: (event) => onEvent(event, thread),
      onGone: (reason) => this.#gone(thread, reason),
    });
    host.connect(index, new PortLink(thread.openPort(host.index), host, index));
    for (const other of this.all()) other.connect(index, thread.openPort(other.index)); // T1
    for (const [id, place] of host.places()) {
      if (place === null) thread.send((control) => control.lose([id], { kind: "shutdown" }, true));
      else thread.send((control) => control.place(id, place));
    }
    if (journal !== null) thread.send((control) => control.useJournal(journal));
    this.#threads.set(index, thread);
    this.#watch();
    return thread;
  }

  #gone(thread: Thread, reason: ExitReason): void {
    this.#threads.delete(thread.index);
    if (this.#spare === thread) this.#spare = null;
    for (const [module, prepared] of this.#prepared) if (prepared === thread) this.#prepared.delete(module);
    const shared = this.#shared.indexOf(thread);
    if (shared >= 0) this.#shared.splice(shared, 1);
    for (const actor of thread.actors) this.#homes.delete(actor);
    if (thread.actors.size > 0) this.#options.onLost([...thread.actors], reason);
  }

  /** Probes every thread in turn (T4). */
  #watch(): void {
    if (this.#probeTimer || this.#isClosed) return;
    const { everyMs, deadlineMs } = this.#options.probe;
    const probed = new Set<Thread>();
    this.#probeTimer = setInterval(() => {
      for (const thread of this.all()) {
        if (probed.has(thread)) continue;
        probed.add(thread);
        void thread.isResponsive(deadlineMs).then((isWell) => {
          probed.delete(thread);
          const message = `the event loop did not answer within ${deadlineMs} ms`;
          if (!isWell && this.#threads.has(thread.index)) thread.terminate({ kind: "unresponsive", message });
        });
      }
    }, everyMs);
    this.#probeTimer.unref();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#probeTimer) clearInterval(this.#probeTimer);
    if (this.#spareTimer) clearTimeout(this.#spareTimer);
    const threads = this.all();
    this.#threads.clear();
    await Promise.all(threads.map((thread) => thread.end()));
  }
}

/** Waits for a call, but not for longer than `ms`; an error of the call ends the waiting too. */
export async function within(ms: number, call: Promise<unknown>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise((resolve) => (timer = setTimeout(resolve, ms)));
  await Promise.race([call.catch(() => undefined), patience]);
  clearTimeout(timer);
}
