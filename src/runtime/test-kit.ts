/**
 * An actor system for scenario tests: real actors in one thread, under a clock that the test moves, every message through the codec.
 *
 *     const system = createInlineSystem({ ports: { scheduler: () => farSide } });
 *     await system.start({ id: "task-manager", definition: taskManager });
 *     const reply = await system.ask(taskManagerRef, { type: "list-datasets" });   // settles by itself
 *     await system.advance(5_000);                                                // runs the timers due, and what follows
 *     await system.restart("task-manager");                                       // as after a crash: snapshot and journal
 *
 * The journal is in memory unless one is given; `system.journal.events("task-manager")` shows what was written.
 */

import { unpack, pack } from "msgpackr/pack";
import { MemoryJournal } from "../store/memory-journal.js";
import type { ActorPort, ActorRef, AskOptions, PortContext, ReplyOf, Typed } from "./actor.js";
import { ActorSystem } from "./actor-system.js";
import type { LogLine } from "./cell-host.js";
import { ManualClock } from "./clock.js";
import type { ChildSpec } from "./supervision.js";

export type InlineOptions = Readonly<{
  clock?: ManualClock;
  journal?: MemoryJournal;
  ports?: Readonly<Record<string, (context: PortContext<Typed>) => ActorPort<unknown>>>;
  random?: () => number;
}>;

export class InlineSystem {
  readonly clock: ManualClock;
  readonly journal: MemoryJournal;
  readonly logs: LogLine[] = [];
  readonly system: ActorSystem;
  readonly #specs = new Map<string, ChildSpec>();

  constructor({ clock = new ManualClock(), journal = new MemoryJournal(), ports, random = seeded(1) }: InlineOptions) {
    this.clock = clock;
    this.journal = journal;
    this.system = new ActorSystem({
      clock,
      journal,
      random,
      log: (line) => void this.logs.push(line),
      copy: (value) => unpack(pack(value)) as typeof value,
      ...(ports ? { ports } : {}),
    });
  }

  async start(...specs: ChildSpec[]): Promise<void> {
    for (const spec of specs) {
      this.#specs.set(spec.id, spec);
      await this.system.spawn(spec);
    }
    await this.settle();
  }

  /** Ends the actor as a crash would and waits until its supervisor has it running again. */
  async restart(id: string): Promise<void> {
    this.system.crash(id);
    await this.settle();
  }

  tell<Message extends Typed>(to: ActorRef<Message>, message: Message): void {
    this.system.tell(to, message);
  }

  ask<Message extends Typed, Type extends Message["type"]>(
    to: ActorRef<Message>,
    message: Message & Readonly<{ type: Type }>,
    options?: AskOptions,
  ): Promise<ReplyOf<Message, Type>> {
    return this.system.ask(to, message, options);
  }

  /** Waits until nothing is left to do at this moment. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 30; turn++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Moves the clock by `ms`, running each timer at its time and all that it leads to. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.clock.now() + ms;
    await this.settle();
    while (this.clock.runNext(untilMs)) await this.settle();
    await this.settle();
  }

  async close(): Promise<void> {
    await this.system.close();
  }
}

export function createInlineSystem(options: InlineOptions = {}): InlineSystem {
  return new InlineSystem(options);
}

/** A small seeded random source (mulberry32): uniform in [0, 1). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
