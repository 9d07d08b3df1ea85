/**
 * One living actor: its state, its mailbox, and the order in which things may happen to it (R1 to R6 of `actor.ts`).
 *
 * A cell knows no thread, clock or file; its host gives it those. It is its own `ActorContext`, so an idle actor is one small object.
 * A batch is: receive each message → one durable write of all their events → only then replies, tells, asks and commands leave (R2).
 * The next batch may be received while the last one is being written; what it wants to send waits behind it.
 */

import type { StoredEvent, StoredSnapshot } from "../store/journal.js";
import type { ActorContext, ActorPort, ActorRef, AskOptions, AskOutcome, Cause, ExitReason, ReplyHandle, ReplyOf, Typed } from "./actor.js";
import { Answered, type AnsweredEvent } from "./answered.js";
import type { AnyDefinition, AskAddress, CellHost, LogLevel } from "./cell-host.js";
import { type AskEnvelope, type TellEnvelope, errorData } from "./envelope.js";
import { Mailbox, mailboxCapacity } from "./mailbox.js";

type Incoming = AskEnvelope | TellEnvelope;
type Output = () => void;

/** Messages that one batch takes at most, so that other actors of the thread get their turn. */
const batchMax = 1_000;
const noOptions: AskOptions = {};

/** What a snapshot row holds: the definition's own part and the answers to remember. */
type SnapshotState = Readonly<{ state: unknown; answered: [string, unknown][] }>;

export type CellInspection = Readonly<{ id: string; name: string; depth: number; received: number; events: number; waitedMs: number }>;

export class ActorCell implements ActorContext<Typed, Typed> {
  readonly self: ActorRef<Typed>;
  readonly definition: AnyDefinition;
  readonly #host: CellHost;
  readonly #mailbox: Mailbox<Incoming>;
  #state: unknown = undefined;
  #port: ActorPort<unknown> | null = null;
  #phase: "starting" | "running" | "stopped" = "starting";
  #isScheduled = false;
  /** The message that is being received, while it is. */
  #current: Incoming | null = null;
  #isAnswered = false;
  #isInside = false;
  #seq = 0;
  #eventsSinceSnapshot = 0;
  #batchEvents: StoredEvent[] = [];
  #outputs: Output[] = [];
  /** Batches whose events are being written, oldest first. */
  #writing: { outputs: Output[]; isDurable: boolean }[] = [];
  #timers: Map<string, () => void> | null = null;
  #answered: Answered | null = null;
  #openRequests: Map<number, string> | null = null;
  #received = 0;
  #waitingSinceMs = 0;
  #waitedMs = 0;

  constructor(id: string, definition: AnyDefinition, host: CellHost, capacity = mailboxCapacity) {
    this.self = { id };
    this.definition = definition;
    this.#host = host;
    this.#mailbox = new Mailbox(capacity);
  }

  /** Recovers the state and opens the port; messages that come meanwhile wait. */
  async start(options: unknown): Promise<void> {
    const { definition } = this;
    const journal = definition.snapshot ? this.#host.journal : null;
    if (journal) await this.#recover(options);
    else this.#state = definition.init(options);
    const context = this.#host.portContext(this.self.id);
    this.#port = this.#host.portFor(this.self.id, context) ?? (await definition.openPort?.(options, context)) ?? null;
    this.begin();
  }

  /** Starts an actor that has neither history nor a port, at once. */
  startPlain(options: unknown): void {
    this.#state = this.definition.init(options);
    this.begin();
  }

  private begin(): void {
    this.#phase = "running";
    if (this.definition.started) this.#inside(() => this.definition.started?.(this.#state, this));
    this.#endBatch();
    if (this.#mailbox.depth > 0) this.#schedule();
  }

  async #recover(options: unknown): Promise<void> {
    const { definition } = this;
    const history = await this.#host.journal?.load(this.self.id);
    const snapshot = history?.snapshot;
    if (snapshot && definition.snapshot) {
      const kept = snapshot.state as SnapshotState;
      this.#state = definition.snapshot.parse(kept.state, snapshot.version, options);
      for (const [requestId, reply] of kept.answered) this.#remember(requestId, reply);
      this.#seq = snapshot.seq;
    } else {
      this.#state = definition.init(options);
    }
    for (const stored of history?.events ?? []) {
      this.#seq = stored.seq;
      this.#eventsSinceSnapshot++;
      this.#applyStored(stored.event); // R3
    }
  }

  #applyStored(event: Typed): void {
    if (event.type === "$answered") {
      const { requestId, reply } = event as AnsweredEvent;
      this.#remember(requestId, reply);
    } else {
      this.definition.apply(this.#state, event);
    }
  }

  /** Takes a message in; false when the mailbox is full or the actor is gone. */
  deliver(envelope: Incoming): boolean {
    if (this.#phase === "stopped" || !this.#mailbox.push(envelope, envelope.isControl)) return false;
    this.#schedule();
    return true;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#phase !== "running") return;
    this.#isScheduled = true;
    this.#waitingSinceMs = this.#host.now();
    this.#host.defer(() => this.#drain());
  }

  #drain(): void {
    this.#isScheduled = false;
    if (this.#phase !== "running") return;
    this.#waitedMs = this.#host.now() - this.#waitingSinceMs;
    for (let taken = 0; taken < batchMax; taken++) {
      const envelope = this.#mailbox.shift();
      if (!envelope) break;
      this.#received++;
      if (!this.#receive(envelope)) return;
    }
    this.#endBatch();
    if (this.#mailbox.depth > 0) this.#schedule();
  }

  /** False when the actor failed. */
  #receive(envelope: Incoming): boolean {
    if (envelope.kind === "ask" && envelope.requestId !== null && this.#answered?.has(envelope.requestId) === true) {
      const reply = this.#answered.get(envelope.requestId); // R6
      this.#out(() => this.#host.sendReply(envelope, reply));
      return true;
    }
    this.#current = envelope;
    this.#isAnswered = envelope.kind === "tell";
    const isWell = this.#inside(() => this.definition.receive(this.#state, envelope.message, this));
    this.#current = null;
    return isWell;
  }

  /** Runs the definition's code; what it throws fails the actor. */
  #inside(run: () => void): boolean {
    this.#isInside = true;
    try {
      run();
      return true;
    } catch (thrown) {
      this.fail(thrown, "error");
      return false;
    } finally {
      this.#isInside = false;
    }
  }

  #endBatch(): void {
    if (this.#phase !== "running") return;
    if (this.definition.batchEnd && !this.#inside(() => this.definition.batchEnd?.(this.#state, this))) return;
    const events = this.#batchEvents;
    const outputs = this.#outputs;
    if (events.length === 0 && outputs.length === 0) return;
    this.#outputs = [];
    if (events.length === 0) {
      if (this.#writing.length === 0) run(outputs);
      else this.#writing.at(-1)?.outputs.push(...outputs);
      return;
    }
    this.#batchEvents = [];
    const batch = { outputs, isDurable: false };
    this.#writing.push(batch);
    const journal = this.#host.journal;
    if (!journal) throw new Error("a durable actor has no journal");
    journal.append(this.self.id, events).then(
      () => {
        batch.isDurable = true;
        this.#release();
      },
      (thrown: unknown) => this.fail(thrown, "error"),
    );
    this.#snapshotIfDue(events.length);
  }

  /** Lets out what waits behind writes that are done, in order (R2). */
  #release(): void {
    if (this.#phase !== "running") return;
    while (this.#writing[0]?.isDurable === true) run(this.#writing.shift()?.outputs ?? []);
  }

  #snapshotIfDue(count: number): void {
    const spec = this.definition.snapshot;
    this.#eventsSinceSnapshot += count;
    if (!spec || this.#eventsSinceSnapshot < (spec.everyEvents ?? 10_000)) return;
    this.#eventsSinceSnapshot = 0;
    const state: SnapshotState = { state: spec.take(this.#state), answered: this.#answered?.entries() ?? [] };
    const snapshot: StoredSnapshot = { seq: this.#seq, version: spec.version, state };
    this.#host.journal?.saveSnapshot(this.self.id, snapshot).catch((thrown: unknown) => {
      this.log("warn", "a snapshot could not be saved; replay stays longer", { error: String(thrown) });
    });
  }

  /**
   * Ends the actor as failed: what it wanted to send of unwritten batches never leaves. The ask that it was receiving fails; those that wait
   * are settled by their askers when they learn that the actor is gone (`Host.lose`), for some may be delivered again.
   */
  fail(thrown: unknown, kind: "error"): void {
    if (this.#phase === "stopped") return;
    const error = errorData(thrown);
    const current = this.#current;
    if (current?.kind === "ask" && !this.#isAnswered) {
      this.#host.failAsk(current, "ACTOR_FAILED", `${this.self.id} failed: ${error.message}`, error);
    }
    this.#end(error.message);
    this.#host.cellFailed(this.self.id, { kind, message: error.message }, error);
  }

  /** Ends the actor; its port is closed before this resolves. */
  async stop(): Promise<void> {
    if (this.#phase === "stopped") return;
    this.#end("it was stopped");
    await this.#port?.close();
  }

  #end(why: string): void {
    this.#phase = "stopped";
    for (const end of this.#timers?.values() ?? []) end();
    this.#timers = null;
    for (let next = this.#mailbox.shift(); next; next = this.#mailbox.shift()) {
      if (next.kind === "tell") this.#host.deadLetter(this.self.id, next.message, why);
    }
  }

  /** Closes the port of a failed actor. */
  async closePort(): Promise<void> {
    await this.#port?.close();
  }

  inspect(): CellInspection {
    const { definition, self } = this;
    const counts = { depth: this.#mailbox.depth, received: this.#received, events: this.#seq, waitedMs: this.#waitedMs };
    return { id: self.id, name: definition.name, ...counts };
  }

  /** For tests: the state through its own snapshot, as a restart would see it. */
  roundTrip(options: unknown): void {
    const spec = this.definition.snapshot;
    if (spec) this.#state = spec.parse(spec.take(this.#state), spec.version, options);
  }

  // What follows is the actor's own view of the world: `ActorContext`.

  get cause(): Cause {
    return this.#cause() ?? { message: this.#current?.message.type ?? "started", from: this.self.id };
  }

  /** What led here, where an event did; null saves naming causes that no chain of events could be told by. */
  #cause(): Cause | null {
    const last = this.#batchEvents.at(-1);
    const event = last ? { actor: this.self.id, seq: last.seq } : this.#current?.cause?.event;
    return event ? { message: this.#current?.message.type ?? "started", from: this.self.id, event } : null;
  }

  now(): number {
    return this.#host.now();
  }

  random(): number {
    return this.#host.random();
  }

  newId(prefix: string): string {
    const letters = "abcdefghijklmnopqrstuvwxyz0123456789";
    let id = `${prefix}-`;
    for (let count = 0; count < 12; count++) id += letters[Math.floor(this.random() * letters.length)] ?? "a";
    return id;
  }

  emit(event: Typed): void {
    this.#mustBeInside("emit");
    this.definition.apply(this.#state, event);
    if (this.definition.snapshot && this.#host.journal) this.#journal(event);
  }

  #journal(event: Typed): void {
    const cause = this.#current ? { cause: { message: this.#current.message.type, ...causeOf(this.#current.cause) } } : {};
    this.#batchEvents.push({ seq: ++this.#seq, atMs: this.#host.now(), event, ...cause });
  }

  reply(reply: unknown): void {
    const asked = this.#takeAsk("reply");
    this.#answer(asked, asked.requestId, reply);
  }

  deferReply<Reply>(): ReplyHandle<Reply> {
    const asked = this.#takeAsk("deferReply");
    this.#host.putOff(asked);
    if (asked.requestId !== null) (this.#openRequests ??= new Map<number, string>()).set(asked.askId, asked.requestId);
    return { askId: asked.askId, from: String(asked.host) };
  }

  answer<Reply>(handle: ReplyHandle<Reply>, reply: Reply): void {
    this.#mustBeInside("answer");
    const requestId = this.#openRequests?.get(handle.askId) ?? null;
    this.#openRequests?.delete(handle.askId);
    this.#answer({ host: Number(handle.from), askId: handle.askId, waiting: null }, requestId, reply);
  }

  #takeAsk(what: string): AskEnvelope {
    this.#mustBeInside(what);
    const current = this.#current;
    if (current?.kind !== "ask") throw new Error(`${what} without an ask: ${current?.message.type ?? "no message"}`);
    if (this.#isAnswered) throw new Error(`${what}: ${current.message.type} is answered already`);
    this.#isAnswered = true;
    return current;
  }

  #answer(ask: AskAddress, requestId: string | null, reply: unknown): void {
    if (requestId !== null) {
      this.#remember(requestId, reply);
      const event: AnsweredEvent = { type: "$answered", requestId, reply };
      if (this.definition.snapshot && this.#host.journal) this.#journal(event);
    }
    if (this.definition.snapshot) this.#out(() => this.#host.sendReply(ask, reply));
    else this.#host.sendReply(ask, reply);
  }

  #remember(requestId: string, reply: unknown): void {
    (this.#answered ??= new Answered()).remember(requestId, reply);
  }

  tell<Other extends Typed>(to: ActorRef<Other>, message: Other, options?: Pick<AskOptions, "isControl">): void {
    this.#mustBeInside("tell");
    const cause = this.#cause();
    this.#out(() => this.#host.sendTell(this.self.id, to.id, message, options?.isControl === true, cause));
  }

  ask<Other extends Typed, Type extends Other["type"]>(
    to: ActorRef<Other>,
    message: Other & Readonly<{ type: Type }>,
    toMessage: (outcome: AskOutcome<ReplyOf<Other, Type>>) => Typed,
    options: AskOptions = noOptions,
  ): void {
    this.#mustBeInside("ask");
    const cause = this.#cause();
    const settle = (outcome: AskOutcome<unknown>): void => {
      if (this.#phase === "stopped") return;
      this.#deliverOwn(toMessage(outcome as AskOutcome<ReplyOf<Other, Type>>), cause);
    };
    if (this.definition.snapshot) this.#out(() => this.#host.sendAsk(to.id, message, options, cause, settle));
    else this.#host.sendAsk(to.id, message, options, cause, settle);
  }

  after(delayMs: number, key: string, message: Typed): void {
    this.#mustBeInside("after");
    this.cancel(key);
    const cause = this.#cause();
    const end = this.#host.setTimer(delayMs, () => {
      this.#timers?.delete(key);
      this.#deliverOwn(message, cause);
    });
    (this.#timers ??= new Map<string, () => void>()).set(key, end);
  }

  cancel(key: string): void {
    this.#timers?.get(key)?.();
    this.#timers?.delete(key);
  }

  monitor<Other extends Typed>(ref: ActorRef<Other>, toMessage: (reason: ExitReason) => Typed): void {
    this.#mustBeInside("monitor");
    const cause = this.#cause();
    this.#out(() => this.#host.monitor(ref.id, this.self.id, (reason) => this.#deliverOwn(toMessage(reason), cause)));
  }

  perform(command: unknown): void {
    this.#mustBeInside("perform");
    const port = this.#port;
    if (!port) throw new Error(`${this.self.id} has no port`);
    this.#out(() => {
      try {
        port.perform(command);
      } catch (thrown) {
        this.fail(thrown, "error");
      }
    });
  }

  log(level: LogLevel, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#host.log({ level, actor: this.self.id, text, fields });
  }

  /** A message of the actor to itself: a timer, an outcome, a monitor. Never refused: it was paid for when it was asked for. */
  #deliverOwn(message: Typed, cause: Cause | null): void {
    const envelope: TellEnvelope = { kind: "tell", to: this.self.id, message, isControl: true, cause };
    if (!this.deliver(envelope)) this.#host.deadLetter(this.self.id, message, "the mailbox is full or the actor gone");
  }

  #out(output: Output): void {
    if (this.definition.snapshot) this.#outputs.push(output);
    else output();
  }

  #mustBeInside(what: string): void {
    if (!this.#isInside) throw new Error(`${what} outside of receive: ${this.self.id}`);
  }
}

function run(outputs: readonly Output[]): void {
  for (const output of outputs) output();
}

function causeOf(cause: Cause | null): Partial<Cause> {
  if (!cause) return {};
  return { ...(cause.from === undefined ? {} : { from: cause.from }), ...(cause.event === undefined ? {} : { event: cause.event }) };
}
