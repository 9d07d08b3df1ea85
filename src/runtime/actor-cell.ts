/**
 * One living actor: its state, its mailbox, and the order in which things may happen to it (R1 to R6 of `actor.ts`).
 *
 * A cell knows no thread, clock or file; its host gives it those. It is its own `ActorContext`, and has nothing that it does not use yet, so an
 * idle actor is one small object. A batch is: receive each message → one durable write of all their events → only then replies, tells, asks
 * and commands leave (`outbox.ts`).
 */

import type { Journal } from "../store/journal.js";
import type { ActorContext, ActorPort, ActorRef, AskOptions, AskOutcome, Cause, ExitReason, ReplyHandle, ReplyOf, Typed } from "./actor.js";
import { Answered, type AnsweredEvent } from "./answered.js";
import type { AnyDefinition, AskAddress, CellHost, HostedCell, LogLevel } from "./cell-host.js";
import { CellTimers } from "./cell-timers.js";
import { type AskEnvelope, type TellEnvelope, errorData } from "./envelope.js";
import { Mailbox, mailboxCapacity } from "./mailbox.js";
import { Outbox, type Output, type SnapshotState } from "./outbox.js";
import type { AskResult } from "./pending-asks.js";

type Incoming = AskEnvelope | TellEnvelope;

/** Messages that one batch takes at most, so that other actors of the thread get their turn. */
const batchMax = 1_000;
const noOptions: AskOptions = {};
const nobody: readonly string[] = [];

export type CellInspection = Readonly<{ id: string; name: string; depth: number; received: number; events: number; waitedMs: number }>;

/** `leaving`: it stopped itself, or was told to; what it wrote is let out, nothing more is received. */
type Phase = "starting" | "running" | "leaving" | "stopped";

export class ActorCell implements ActorContext<Typed, Typed>, HostedCell {
  readonly self: ActorRef<Typed>;
  readonly definition: AnyDefinition;
  readonly #host: CellHost;
  readonly #mailbox: Mailbox<Incoming>;
  #state: unknown = undefined;
  #port: ActorPort<unknown> | null = null;
  /** Null for an actor that is not durable: what it says leaves at once. */
  #outbox: Outbox | null = null;
  #phase: Phase = "starting";
  #isScheduled = false;
  #isAnswered = false;
  #isInside = false;
  /** The message that is being received, while it is. */
  #current: Incoming | null = null;
  #timers: CellTimers | null = null;
  #answered: Answered | null = null;
  /** Ends the start that is under way. */
  #abortStart: ((why: unknown) => void) | null = null;
  #received = 0;
  #waitingSinceMs = 0;
  #waitedMs = 0;
  watched = nobody;

  constructor(id: string, definition: AnyDefinition, host: CellHost, capacity = mailboxCapacity) {
    this.self = { id };
    this.definition = definition;
    this.#host = host;
    this.#mailbox = new Mailbox(capacity);
  }

  get hasPort(): boolean {
    return this.#port !== null;
  }

  /** Recovers the state and opens the port; messages that come meanwhile wait. Rejects when it is ended meanwhile. */
  start(options: unknown): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#abortStart = reject;
      this.#start(options).then(resolve, reject);
    });
  }

  async #start(options: unknown): Promise<void> {
    const { definition } = this;
    const { journal } = this.#host;
    if (definition.snapshot && journal) await this.#recover(journal, options);
    else this.#state = definition.init(options);
    const context = this.#host.portContext(this.self.id);
    this.#port = this.#host.portFor(this.self.id, context) ?? (await definition.openPort?.(options, context)) ?? null;
    this.#abortStart = null;
    if (this.#phase === "stopped") await this.#closePort();
    else this.#begin();
  }

  /** Starts an actor that has neither history nor a port, at once. */
  startPlain(options: unknown): void {
    this.#state = this.definition.init(options);
    this.#begin();
  }

  async #recover(journal: Journal, options: unknown): Promise<void> {
    const { snapshot: spec } = this.definition;
    const outbox = new Outbox(this.self.id, journal, { appended: () => this.#saveSnapshot(), failed: (thrown) => this.fail(thrown) });
    this.#outbox = outbox;
    const { snapshot, events } = await journal.load(this.self.id);
    if (snapshot && spec) {
      const kept = snapshot.state as SnapshotState;
      this.#state = spec.parse(kept.state, snapshot.version, options);
      for (const [requestId, reply] of kept.answered) this.#remember(requestId, reply);
      outbox.replayed(snapshot.seq, false);
    } else {
      this.#state = this.definition.init(options);
    }
    for (const { seq, event } of events) {
      outbox.replayed(seq, true);
      if (isAnswered(event)) this.#remember(event.requestId, event.reply);
      else this.definition.apply(this.#state, event); // R3
    }
  }

  /** What `started` throws is thrown on: an actor that cannot begin does not start. */
  #begin(): void {
    const { definition } = this;
    if (definition.started || definition.batchEnd) {
      this.#isInside = true;
      try {
        definition.started?.(this.#state, this);
        definition.batchEnd?.(this.#state, this);
      } finally {
        this.#isInside = false;
      }
    }
    if (this.#phase === "starting") this.#phase = "running";
    this.#closeBatch();
    if (this.#mailbox.depth > 0) this.#schedule();
  }

  /** Takes a message in; false when the mailbox is full or the actor is gone. */
  deliver(envelope: Incoming): boolean {
    if (this.#phase === "stopped" || this.#phase === "leaving" || !this.#mailbox.push(envelope, envelope.isControl)) return false;
    this.#schedule();
    return true;
  }

  #schedule(): void {
    if (this.#isScheduled || this.#phase !== "running") return;
    this.#isScheduled = true;
    this.#waitingSinceMs = this.#host.now();
    this.#host.schedule(this);
  }

  /** Receives what waits, one batch of it. */
  drain(): void {
    this.#isScheduled = false;
    const nowMs = this.#host.now();
    this.#waitedMs = nowMs - this.#waitingSinceMs;
    for (let taken = 0; taken < batchMax && this.#phase === "running"; taken++) {
      const envelope = this.#mailbox.shift();
      if (!envelope) break;
      this.#received++;
      if (this.#isWanted(envelope, nowMs)) this.#receive(envelope);
    }
    if (this.#phase === "stopped") return;
    if (this.definition.batchEnd && !this.#endBatch()) return;
    this.#closeBatch();
    if (this.#mailbox.depth > 0) this.#schedule();
  }

  /** False for what need not be received any more. */
  #isWanted(envelope: Incoming, nowMs: number): boolean {
    if (envelope.kind === "tell") return this.#timers?.isWanted(envelope) ?? true;
    if (envelope.expiresAtMs < nowMs) return false; // Its asker waits no more.
    return envelope.requestId === null || !this.#isKnown(envelope, envelope.requestId);
  }

  /** R6: answered before, or under way. */
  #isKnown(ask: AskEnvelope, requestId: string): boolean {
    const answered = this.#answered;
    if (answered?.has(requestId) === true) {
      const reply = answered.get(requestId);
      this.#out(() => this.#host.sendReply(ask, reply));
      return true;
    }
    const isUnderWay = answered?.join(requestId, ask) === true;
    if (isUnderWay) this.#host.putOff(ask);
    return isUnderWay;
  }

  /** Runs the definition's code; what it throws fails the actor. */
  #receive(envelope: Incoming): void {
    this.#current = envelope;
    this.#isAnswered = envelope.kind === "tell";
    this.#isInside = true;
    try {
      this.definition.receive(this.#state, envelope.message, this);
    } catch (thrown) {
      this.fail(thrown);
    } finally {
      this.#isInside = false;
      this.#current = null;
    }
  }

  /** False when the actor failed. */
  #endBatch(): boolean {
    this.#isInside = true;
    try {
      this.definition.batchEnd?.(this.#state, this);
      return true;
    } catch (thrown) {
      this.fail(thrown);
      return false;
    } finally {
      this.#isInside = false;
    }
  }

  #closeBatch(): void {
    this.#outbox?.closeBatch();
    if (this.#phase === "leaving") void this.#leave();
  }

  /** It said `stop`. */
  async #leave(): Promise<void> {
    await this.#outbox?.written();
    if (this.#phase !== "leaving") return; // It failed, or was ended, meanwhile.
    this.#end("it stopped");
    this.#host.cellStopped(this);
  }

  #saveSnapshot(): void {
    const { snapshot } = this.definition;
    const saving = snapshot ? this.#outbox?.snapshotIfDue(snapshot, this.#state, this.#answered) : null;
    saving?.catch((thrown: unknown) => {
      this.log("warn", "a snapshot could not be saved; replay stays longer", { error: String(thrown) });
    });
  }

  /**
   * Ends the actor as failed: what it wanted to send of unwritten batches never leaves. The ask that it was receiving fails; those that wait
   * are settled by their askers when they learn that the actor is gone (`Host.lose`), for some may be delivered again.
   */
  fail(thrown: unknown): void {
    if (this.#phase === "stopped") return;
    const abortStart = this.#abortStart;
    const error = errorData(thrown);
    const current = this.#current;
    if (current?.kind === "ask" && !this.#isAnswered) {
      this.#host.failAsk(current, "ACTOR_FAILED", `${this.self.id} failed: ${error.message}`, error);
    }
    this.#end(error.message);
    if (abortStart) abortStart(thrown);
    else this.#host.cellFailed(this, { kind: "error", message: error.message }, error);
  }

  /** Ends the actor: what it wrote is let out and its port closed before this resolves. */
  async halt(): Promise<void> {
    if (this.#phase === "running") this.#phase = "leaving";
    if (this.#phase === "leaving") await this.#outbox?.written();
    if (this.#phase !== "stopped") {
      this.#end("it was stopped");
      this.#abortStart?.(new Error(`${this.self.id} was stopped while it started`));
    }
    await this.#closePort();
  }

  #end(why: string): void {
    this.#phase = "stopped";
    this.#timers?.end();
    this.#outbox?.end();
    for (let next = this.#mailbox.shift(); next; next = this.#mailbox.shift()) {
      if (next.kind === "tell") this.#host.deadLetter(this.self.id, next.message, why);
    }
  }

  async #closePort(): Promise<void> {
    const port = this.#port;
    this.#port = null;
    await port?.close();
  }

  inspect(): CellInspection {
    const { definition, self } = this;
    const counts = { depth: this.#mailbox.depth, received: this.#received, events: this.#outbox?.seq ?? 0, waitedMs: this.#waitedMs };
    return { id: self.id, name: definition.name, ...counts };
  }

  /** For tests: the durable part of the state, as a snapshot would hold it; undefined for an actor that is not durable. */
  durablePart(): unknown {
    return this.definition.snapshot?.take(this.#state);
  }

  // What follows is the actor's own view of the world: `ActorContext`.

  get cause(): Cause {
    return this.#cause() ?? { message: this.#current?.message.type ?? "started", from: this.self.id };
  }

  /** What led here, where an event did; null saves naming causes that no chain of events could be told by. */
  #cause(): Cause | null {
    const seq = this.#outbox?.lastSeq ?? null;
    const event = seq === null ? this.#current?.cause?.event : { actor: this.self.id, seq };
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
    this.#journal(event);
  }

  #journal(event: Typed): void {
    const current = this.#current;
    this.#outbox?.emit(event, this.#host.now(), current ? { ...current.cause, message: current.message.type } : null);
  }

  reply(reply: unknown): void {
    const asked = this.#takeAsk("reply");
    if (asked.requestId !== null) this.#keepAnswer(asked.requestId, reply);
    this.#sendReply(asked, reply);
  }

  deferReply<Reply>(): ReplyHandle<Reply> {
    const asked = this.#takeAsk("deferReply");
    this.#host.putOff(asked);
    if (asked.requestId !== null) (this.#answered ??= new Answered()).keepOpen(asked.requestId, asked);
    return { askId: asked.askId, from: String(asked.host) };
  }

  answer<Reply>(handle: ReplyHandle<Reply>, reply: Reply): void {
    this.#mustBeInside("answer");
    const first: AskAddress = { host: Number(handle.from), askId: handle.askId, waiting: null };
    const request = this.#answered?.take(first) ?? null;
    if (request) this.#keepAnswer(request.requestId, reply);
    for (const { host, askId } of request?.askers ?? [first]) this.#sendReply({ host, askId, waiting: null }, reply);
  }

  #takeAsk(what: string): AskEnvelope {
    this.#mustBeInside(what);
    const current = this.#current;
    if (current?.kind !== "ask") throw new Error(`${what} without an ask: ${current?.message.type ?? "no message"}`);
    if (this.#isAnswered) throw new Error(`${what}: ${current.message.type} is answered already`);
    this.#isAnswered = true;
    return current;
  }

  /** R6; a durable actor remembers beyond a restart. */
  #keepAnswer(requestId: string, reply: unknown): void {
    this.#remember(requestId, reply);
    const event: AnsweredEvent = { type: "$answered", requestId, reply };
    this.#journal(event);
  }

  #remember(requestId: string, reply: unknown): void {
    (this.#answered ??= new Answered()).remember(requestId, reply);
  }

  #sendReply(ask: AskAddress, reply: unknown): void {
    if (this.#outbox) this.#outbox.add(() => this.#host.sendReply(ask, reply));
    else this.#host.sendReply(ask, reply);
  }

  tell<Other extends Typed>(to: ActorRef<Other>, message: Other, options?: Pick<AskOptions, "isControl">): void {
    this.#mustBeInside("tell");
    const cause = this.#cause();
    const isControl = options?.isControl === true;
    if (this.#outbox) this.#outbox.add(() => this.#host.sendTell(this.self.id, to.id, message, isControl, cause));
    else this.#host.sendTell(this.self.id, to.id, message, isControl, cause);
  }

  ask<Other extends Typed, Type extends Other["type"]>(
    to: ActorRef<Other>,
    message: Other & Readonly<{ type: Type }>,
    toMessage: (outcome: AskOutcome<ReplyOf<Other, Type>>) => Typed,
    options: AskOptions = noOptions,
  ): void {
    this.#mustBeInside("ask");
    const cause = this.#cause();
    const settle = (result: AskResult): void => {
      const outcome = result.ok ? result : { ok: false, code: result.code, message: result.message };
      this.#deliverMade(() => toMessage(outcome as AskOutcome<ReplyOf<Other, Type>>), cause);
    };
    if (this.#outbox) this.#outbox.add(() => this.#host.sendAsk(to.id, message, options, cause, settle));
    else this.#host.sendAsk(to.id, message, options, cause, settle);
  }

  after(delayMs: number, key: string, message: Typed): void {
    this.#mustBeInside("after");
    const envelope: TellEnvelope = { kind: "tell", to: this.self.id, message, isControl: true, cause: this.#cause() };
    const deliver = (due: TellEnvelope): void => this.#deliverOwn(due);
    (this.#timers ??= new CellTimers()).set(key, envelope, deliver, (call) => this.#host.setTimer(delayMs, call));
  }

  cancel(key: string): void {
    this.#timers?.cancel(key);
  }

  monitor<Other extends Typed>(ref: ActorRef<Other>, toMessage: (reason: ExitReason) => Typed): void {
    this.#mustBeInside("monitor");
    const cause = this.#cause();
    if (!this.watched.includes(ref.id)) this.watched = [...this.watched, ref.id];
    this.#out(() => this.#host.monitor(ref.id, this, (reason) => this.#deliverMade(() => toMessage(reason), cause)));
  }

  stop(): void {
    this.#mustBeInside("stop");
    this.#phase = "leaving";
  }

  perform(command: unknown): void {
    this.#mustBeInside("perform");
    const port = this.#port;
    if (!port) throw new Error(`${this.self.id} has no port`);
    this.#out(() => {
      try {
        port.perform(command);
      } catch (thrown) {
        this.fail(thrown);
      }
    });
  }

  log(level: LogLevel, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
    this.#host.log({ level, actor: this.self.id, text, fields });
  }

  /** What the actor makes of an outcome is its own code: what that throws fails this actor, not whoever brought the outcome. */
  #deliverMade(make: () => Typed, cause: Cause | null): void {
    if (this.#phase === "stopped") return;
    let message: Typed;
    try {
      message = make();
    } catch (thrown) {
      this.fail(thrown);
      return;
    }
    this.#deliverOwn({ kind: "tell", to: this.self.id, message, isControl: false, cause });
  }

  /** A message of the actor to itself: a timer, an outcome, a monitor. Never refused: it was paid for when it was asked for. */
  #deliverOwn(envelope: TellEnvelope): void {
    if (this.#phase === "leaving" || this.#phase === "stopped") return;
    this.#mailbox.pushOwn(envelope, envelope.isControl);
    this.#schedule();
  }

  #out(output: Output): void {
    if (this.#outbox) this.#outbox.add(output);
    else output();
  }

  #mustBeInside(what: string): void {
    if (!this.#isInside) throw new Error(`${what} outside of receive: ${this.self.id}`);
  }
}

function isAnswered(event: Typed): event is AnsweredEvent {
  return event.type === "$answered";
}
