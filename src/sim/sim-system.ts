/**
 * The real actors in one thread under virtual time: each in a host (a thread) of its own, with links between them
 * that take a while, a disk, and crashes. The root guardian's part (who lives where, who is started again) is played
 * here.
 *
 * - Y1  Messages between two hosts arrive in order, late by up to `linkMsMax`; those to or from a host that has
 *       crashed are lost with it.
 * - Y2  A crashed host does nothing any more: its timers do not run, its writes end as the disk says, its asks are
 *       settled by the others.
 * - Y3  A crashed actor is there again after up to `restartMsMax`, from what was durable. Messages meanwhile wait for
 *       it.
 * - Y4  An actor that throws ends the run: a defect is never a fault that was wanted.
 */

import { pack, unpack } from "msgpackr/pack";
import type { ActorPort, AskOptions, PortContext, Typed } from "../runtime/actor.js";
import type { AnyDefinition, LogLine } from "../runtime/cell-host.js";
import type { Clock } from "../runtime/clock.js";
import type { Envelope } from "../runtime/envelope.js";
import { Host } from "../runtime/host.js";
import { sweepEveryMs } from "../runtime/pending-asks.js";
import type { Journal, StoredEvent } from "../store/journal.js";
import { SimClock } from "./sim-clock.js";
import { type DiskFaults, SimJournal } from "./sim-journal.js";
import { SimRandom } from "./sim-random.js";

export type SimFaults = DiskFaults & Readonly<{ linkMsMax: number; restartMsMax: number }>;

export type SimActor = Readonly<{
  id: string;
  definition: AnyDefinition;
  options?: unknown;
  port?: (context: PortContext<Typed>) => ActorPort<unknown>;
}>;

/** How often each fault came about; torn writes included. A run without a fault tests nothing of it. */
export type SimCounts = Readonly<{ delays: number; losses: number; doubles: number; crashes: number; tornWrites: number }>;

type Life = { readonly host: Host; readonly actor: SimActor | null; isAlive: boolean };

/** Turns of the microtask queue after each event: enough for a recovery's chain of promises. */
const turns = 12;
/** Deadlines of asks are looked at this often instead of every 10 ms. */
const sweepMs = 200;

export class SimSystem {
  readonly clock = new SimClock();
  readonly random: SimRandom;
  readonly journal: SimJournal;
  readonly logs: LogLine[] = [];
  readonly #faults: SimFaults;
  readonly #lives = new Map<number, Life>();
  /** Actors that are down and will be started again. */
  readonly #coming = new Set<string>();
  readonly #arrivals = new Map<string, number>();
  #lastIndex = 0;
  #defect: Error | null = null;
  readonly #counts = { delays: 0, losses: 0, doubles: 0, crashes: 0 };
  /** The host at which requests from outside arrive (the Master Service's). */
  #gateway: Life;

  constructor(seed: number, faults: SimFaults, onDurable: (actor: string, event: StoredEvent["event"]) => void) {
    this.random = new SimRandom(seed);
    this.#faults = faults;
    const heard = (actor: string, event: StoredEvent["event"]): void => {
      this.check(() => onDurable(actor, event));
    };
    this.journal = new SimJournal(this.clock, this.random, faults, heard);
    this.#gateway = this.#open(null);
  }

  get counts(): SimCounts {
    return { ...this.#counts, tornWrites: this.journal.tornRows };
  }

  /** A message of the network: it arrives so many times, each at its own moment. */
  carry(delaysMs: readonly number[], arrive: () => void): void {
    this.#counts.losses += delaysMs.length === 0 ? 1 : 0;
    this.#counts.doubles += delaysMs.length > 1 ? 1 : 0;
    for (const delayMs of delaysMs) {
      this.#counts.delays += delayMs > 0 ? 1 : 0;
      this.clock.setTimer(delayMs, arrive);
    }
  }

  /** Runs a check of the scenario; what it throws ends the run. */
  check(run: () => void): void {
    try {
      run();
    } catch (thrown) {
      this.#fail(thrown);
    }
  }

  #fail(thrown: unknown): void {
    this.#defect ??= thrown instanceof Error ? thrown : new Error(String(thrown));
  }

  start(actor: SimActor): void {
    const life = this.#open(actor);
    const { id, definition, options } = actor;
    this.#coming.add(id);
    for (const other of this.#others(life)) other.host.lose([id], { kind: "shutdown" }, true);
    life.host.startActor(id, definition, options).then(
      () => {
        if (!life.isAlive) return;
        this.#coming.delete(id);
        for (const other of this.#others(life)) other.host.place(id, life.host.index);
      },
      (thrown: unknown) => this.#fail(thrown),
    );
  }

  /** The thread of an actor ends at once, in the middle of whatever it did (Y2, Y3). */
  crash(id: string): void {
    const life = this.#lifeOf(id);
    if (life?.actor === undefined || life.actor === null) return;
    this.#end(life, id);
    for (const other of this.#others(life)) other.host.lose([id], { kind: "thread-exit", message: "crashed" }, true);
    const { actor } = life;
    this.clock.setTimer(this.random.between(0, this.#faults.restartMsMax), () => this.start(actor));
  }

  /** The same in the middle of the actor's next write, if `isMeant` then; `crashed` hears of it. */
  crashInWrite(id: string, isMeant: () => boolean, crashed: () => void = () => undefined): void {
    this.journal.atNextWrite(id, () => {
      if (!isMeant() || !this.isUp(id)) return;
      this.crash(id);
      crashed();
    });
  }

  /** The process of the master ends: every actor, and every request that waits at the gateway. */
  crashAll(): void {
    const actors = [...this.#lives.values()].flatMap(({ actor, isAlive }) =>
      isAlive && actor !== null ? [actor] : [],
    );
    for (const life of this.#lives.values()) this.#end(life, life.actor?.id ?? null);
    this.clock.setTimer(this.random.between(0, this.#faults.restartMsMax), () => {
      this.#gateway = this.#open(null);
      for (const { id } of actors) this.#gateway.host.lose([id], { kind: "shutdown" }, true);
      for (const actor of actors) this.start(actor);
    });
  }

  isUp(id: string): boolean {
    return this.#lifeOf(id) !== undefined;
  }

  tell(to: string, message: Typed): void {
    if (this.#gateway.isAlive) this.#gateway.host.sendTell("gateway", to, message, false, null);
  }

  /** Asks as the Master Service does; never settles when the gateway dies meanwhile. */
  ask(to: string, message: Typed, options: AskOptions): Promise<unknown> {
    if (!this.#gateway.isAlive) return new Promise(() => undefined);
    return this.#gateway.host.ask(to, message, options);
  }

  /** Lets time pass until `isOver` or `untilMs`; throws what an actor or a check threw (Y4). */
  async run(untilMs: number, isOver: () => boolean): Promise<void> {
    while (!isOver() && this.clock.runNext(untilMs)) {
      for (let turn = 0; turn < turns; turn++) await Promise.resolve();
      if (this.#defect !== null) throw this.#defect;
    }
  }

  #open(actor: SimActor | null): Life {
    const index = this.#lastIndex++;
    const clock: Clock = {
      now: () => this.clock.now(),
      setTimer: (delayMs, call) => {
        const ms = delayMs === sweepEveryMs ? sweepMs : delayMs;
        return this.clock.setTimer(ms, () => {
          if (life.isAlive) call();
        });
      },
    };
    const host = new Host({
      index,
      clock,
      random: this.random.next,
      log: (line) => void this.logs.push(line),
      onFailed: (id, _reason, error) => {
        this.#defect ??= new Error(`${id} failed: ${error.stack}`);
      },
      defer: (call) => void clock.setTimer(0, call),
      ...(actor?.port ? { ports: { [actor.id]: actor.port } } : {}),
    });
    const life: Life = { host, actor, isAlive: true };
    host.journal = this.#journalOf(life);
    for (const id of this.#coming) host.lose([id], { kind: "shutdown" }, true); // Y3, also for who starts meanwhile.
    for (const other of this.#others(life)) {
      other.host.connect(index, { send: (envelope) => this.#carry(other, life, envelope) });
      host.connect(other.host.index, { send: (envelope) => this.#carry(life, other, envelope) });
      if (other.actor !== null && other.host.cellOf(other.actor.id)) host.place(other.actor.id, other.host.index);
    }
    this.#lives.set(index, life);
    return life;
  }

  /** Y2: a recovery that was under way at the crash goes no further. */
  #journalOf(life: Life): Journal {
    const never = new Promise<never>(() => undefined);
    return {
      load: (actor) => (life.isAlive ? this.journal.load(actor) : never),
      append: (actor, events) => (life.isAlive ? this.journal.append(actor, events) : never),
      saveSnapshot: (actor, snapshot) => (life.isAlive ? this.journal.saveSnapshot(actor, snapshot) : never),
    };
  }

  /** Y1. */
  #carry(from: Life, to: Life, envelope: Envelope): void {
    if (!from.isAlive) return void (this.#counts.losses += 1);
    const bytes = pack(envelope);
    const link = `${from.host.index}>${to.host.index}`;
    const soonestMs = this.clock.now() + this.random.between(0, this.#faults.linkMsMax);
    const atMs = Math.max(soonestMs, this.#arrivals.get(link) ?? 0);
    this.#arrivals.set(link, atMs);
    if (atMs > this.clock.now()) this.#counts.delays += 1;
    this.clock.setTimer(atMs - this.clock.now(), () => {
      if (to.isAlive) to.host.receive(unpack(bytes) as Envelope);
      else this.#counts.losses += 1;
    });
  }

  #end(life: Life, id: string | null): void {
    life.isAlive = false;
    this.#lives.delete(life.host.index);
    if (id === null) return;
    this.#coming.add(id);
    this.#counts.crashes += 1;
    this.journal.crash(id);
  }

  #lifeOf(id: string): Life | undefined {
    return [...this.#lives.values()].find(({ actor, isAlive }) => isAlive && actor?.id === id);
  }

  #others(life: Life): Life[] {
    return [...this.#lives.values()].filter((other) => other !== life && other.isAlive);
  }
}
