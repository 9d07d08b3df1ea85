/**
 * One place where actors live: the cells of a thread, the asks that wait there, and the way to actors elsewhere.
 *
 * Knows actors by id and other hosts by number; how an envelope reaches another host is a `Link`'s business.
 */

import type { Journal } from "../store/journal.js";
import type { ActorPort, AskOptions, AskOutcome, Cause, ExitReason, PortContext, Typed } from "./actor.js";
import { ActorCell, type CellInspection } from "./actor-cell.js";
import { AskError } from "./ask-error.js";
import type { AnyDefinition, AskAddress, CellHost, LogLine } from "./cell-host.js";
import type { Clock } from "./clock.js";
import { type AskEnvelope, type Envelope, type ErrorData, type FailEnvelope, errorFrom } from "./envelope.js";
import { type AskResult, PendingAsks, sweepEveryMs } from "./pending-asks.js";

/** The way to another host. */
export interface Link {
  send(envelope: Envelope): void;
}

export type HostOptions = Readonly<{
  /** Number of this host in its system. */
  index: number;
  clock: Clock;
  random: () => number;
  log: (line: LogLine) => void;
  onFailed: (actor: string, reason: ExitReason, error: ErrorData) => void;
  /** Ports that stand in for the definitions' own. */
  ports?: Readonly<Record<string, (context: PortContext<Typed>) => ActorPort<unknown>>>;
  /** Passes each message through the codec although it stays here. */
  copy?: <Value>(value: Value) => Value;
  defer?: (call: () => void) => void;
}>;

type Monitor = Readonly<{ watcher: string; onDown: (reason: ExitReason) => void }>;

/** Messages kept for an actor that is being restarted, and those that found no one, at most. */
const parkedMax = 10_000;

export class Host implements CellHost {
  readonly index: number;
  journal: Journal | null = null;
  readonly asks = new PendingAsks();
  readonly #options: HostOptions;
  readonly #cells = new Map<string, ActorCell>();
  /** Which host an actor of elsewhere lives on; null while it is being restarted. */
  readonly #directory = new Map<string, number | null>();
  readonly #links = new Map<number, Link>();
  readonly #monitors = new Map<string, Monitor[]>();
  readonly #parked = new Map<string, Envelope[]>();
  #endSweep: (() => void) | null = null;
  #deadLetters = 0;
  #isClosed = false;

  constructor(options: HostOptions) {
    this.#options = options;
    this.index = options.index;
  }

  // ── actors of this host

  async startActor(id: string, definition: AnyDefinition, options: unknown, capacity?: number): Promise<void> {
    const cell = new ActorCell(id, definition, this, capacity);
    this.#cells.set(id, cell);
    this.#directory.delete(id);
    await cell.start(options);
    this.#unpark(id);
  }

  /** Starts an actor that is neither durable nor has a port, at once. */
  startPlain(id: string, definition: AnyDefinition, options: unknown): void {
    const cell = new ActorCell(id, definition, this);
    this.#cells.set(id, cell);
    cell.startPlain(options);
  }

  async stopActor(id: string): Promise<void> {
    const cell = this.#cells.get(id);
    this.#cells.delete(id);
    await cell?.stop();
  }

  cellOf(id: string): ActorCell | undefined {
    return this.#cells.get(id);
  }

  inspect(): CellInspection[] {
    return [...this.#cells.values()].map((cell) => cell.inspect());
  }

  counters(): Readonly<{ deadLetters: number; lateAnswers: number; openAsks: number }> {
    return { deadLetters: this.#deadLetters, lateAnswers: this.asks.lateAnswers, openAsks: this.asks.size };
  }

  // ── actors elsewhere

  connect(host: number, link: Link): void {
    this.#links.set(host, link);
  }

  /** Where actors live, as far as this host knows: null while one is being (re)started. */
  places(): [string, number | null][] {
    const own = [...this.#cells.keys()].map((id): [string, number] => [id, this.index]);
    return [...own, ...this.#directory];
  }

  /** Says where an actor lives; messages that waited for it go there. */
  place(id: string, host: number): void {
    if (host === this.index) return;
    this.#directory.set(id, host);
    this.#unpark(id);
  }

  /** The actors of a host (or one) are gone: asks are settled, monitors told. Those that come back are parked for. */
  lose(ids: readonly string[], reason: ExitReason, isComingBack: boolean): void {
    for (const id of ids) {
      if (isComingBack) this.#directory.set(id, null);
      else this.#directory.delete(id);
    }
    const code = isComingBack ? "ACTOR_RESTARTED" : "ACTOR_NOT_FOUND";
    const why = "message" in reason ? reason.message : reason.kind;
    for (const ask of this.asks.lose(new Set(ids), code, `${ids.join(", ")}: ${why}`)) this.#send(ask);
    for (const id of ids) {
      const monitors = this.#monitors.get(id) ?? [];
      this.#monitors.delete(id);
      for (const { onDown } of monitors) onDown(reason);
    }
  }

  #unpark(id: string): void {
    const parked = this.#parked.get(id);
    this.#parked.delete(id);
    for (const envelope of parked ?? []) this.#send(envelope);
  }

  // ── messages

  /** An envelope for this host, from a link. */
  receive(envelope: Envelope): void {
    switch (envelope.kind) {
      case "reply":
        return this.asks.settleNumber(envelope.askId, { ok: true, reply: envelope.reply });
      case "fail":
        return this.asks.settleNumber(envelope.askId, {
          ok: false,
          code: envelope.code,
          message: envelope.message,
          error: envelope.error,
        });
      case "ask":
      case "tell":
        return this.#send(envelope);
    }
  }

  #send(envelope: Envelope): void {
    if (envelope.kind === "reply" || envelope.kind === "fail") return this.#answer(envelope);
    const cell = this.#cells.get(envelope.to);
    if (cell) {
      if (!cell.deliver(envelope)) this.#refuse(envelope, "MAILBOX_FULL", `the mailbox of ${envelope.to} is full`);
      return;
    }
    const host = this.#directory.get(envelope.to);
    if (host === null) return this.#park(envelope);
    const link = host === undefined ? undefined : this.#links.get(host);
    if (link) link.send(envelope);
    else this.#refuse(envelope, "ACTOR_NOT_FOUND", `there is no actor ${envelope.to}`);
  }

  #park(envelope: Exclude<Envelope, { kind: "reply" | "fail" }>): void {
    const parked = this.#parked.get(envelope.to) ?? [];
    if (parked.length >= parkedMax) return this.#refuse(envelope, "MAILBOX_FULL", `${envelope.to} is being restarted`);
    parked.push(envelope);
    this.#parked.set(envelope.to, parked);
  }

  #answer(envelope: Extract<Envelope, { kind: "reply" | "fail" }>): void {
    if (envelope.host === this.index) this.receive(envelope);
    else this.#links.get(envelope.host)?.send(envelope);
  }

  #refuse(envelope: Exclude<Envelope, { kind: "reply" | "fail" }>, code: FailEnvelope["code"], why: string): void {
    if (envelope.kind === "tell") return this.deadLetter(envelope.to, envelope.message, why);
    this.failAsk(envelope, code, why, null);
  }

  deadLetter(to: string, message: Typed, why: string): void {
    this.#deadLetters++;
    if (this.#deadLetters % 1_000 === 1) this.log({ level: "warn", actor: to, text: "dead letter", fields: { type: message.type, why } });
  }

  // ── what cells ask for

  now(): number {
    return this.#options.clock.now();
  }

  random(): number {
    return this.#options.random();
  }

  setTimer(delayMs: number, call: () => void): () => void {
    return this.#options.clock.setTimer(delayMs, call);
  }

  defer(call: () => void): void {
    if (this.#options.defer) this.#options.defer(call);
    else queueMicrotask(call);
  }

  log(line: LogLine): void {
    this.#options.log(line);
  }

  sendTell(_from: string, to: string, message: Typed, isControl: boolean, cause: Cause | null): void {
    this.#send({ kind: "tell", to, message: this.#copy(message), isControl, cause });
  }

  sendAsk(to: string, message: Typed, options: AskOptions, cause: Cause | null, settle: (outcome: AskOutcome<unknown>) => void): void {
    this.#ask(to, message, options, cause, (result) => {
      settle(result.ok ? result : { ok: false, code: result.code, message: result.message });
    });
  }

  #ask(to: string, message: Typed, options: AskOptions, cause: Cause | null, settle: (result: AskResult) => void): void {
    const { deadlineMs = 10_000, isControl = false, isIdempotent = false, requestId = null } = options;
    if (this.#isClosed) return settle({ ok: false, code: "SYSTEM_CLOSED", message: "the actor system is closed", error: null });
    const waiting = this.asks.open(to, this.now(), deadlineMs, settle);
    const { askId } = waiting;
    const isHere = this.#cells.has(to);
    if (!isHere) this.asks.number(waiting);
    const ask: AskEnvelope = {
      kind: "ask",
      to,
      message: this.#copy(message),
      isControl,
      cause,
      host: this.index,
      askId,
      requestId,
      isIdempotent,
      waiting: isHere ? waiting : null,
    };
    if (isIdempotent) {
      this.asks.number(waiting); // It may be answered by another life of the actor, elsewhere.
      waiting.resend = { ...ask, waiting: null };
    }
    this.#endSweep ??= this.setTimer(sweepEveryMs, () => this.#sweep());
    this.#send(ask);
  }

  #sweep(): void {
    this.#endSweep = null;
    if (this.asks.sweep(this.now())) this.#endSweep ??= this.setTimer(sweepEveryMs, () => this.#sweep());
  }

  sendReply(ask: AskAddress, reply: unknown): void {
    if (ask.waiting) this.asks.settle(ask.waiting, { ok: true, reply: this.#copy(reply) });
    else this.#answer({ kind: "reply", host: ask.host, askId: ask.askId, reply: this.#copy(reply) });
  }

  failAsk(ask: AskAddress, code: FailEnvelope["code"], message: string, error: ErrorData | null): void {
    if (ask.waiting) this.asks.settle(ask.waiting, { ok: false, code, message, error });
    else this.#answer({ kind: "fail", host: ask.host, askId: ask.askId, code, message, error });
  }

  putOff(ask: AskAddress): void {
    if (ask.waiting) this.asks.number(ask.waiting);
  }

  monitor(target: string, watcher: string, onDown: (reason: ExitReason) => void): void {
    if (!this.#cells.has(target) && !this.#directory.has(target)) {
      onDown({ kind: "error", message: `there is no actor ${target}` });
      return;
    }
    const monitors = this.#monitors.get(target) ?? [];
    monitors.push({ watcher, onDown });
    this.#monitors.set(target, monitors);
  }

  portFor(actor: string, context: PortContext<Typed>): ActorPort<unknown> | null {
    return this.#options.ports?.[actor]?.(context) ?? null;
  }

  portContext(actor: string): PortContext<Typed> {
    return {
      self: { id: actor },
      now: () => this.now(),
      tell: (to, message, options) => this.sendTell(actor, to.id, message, options?.isControl === true, null),
      ask: (to, message, options) => this.ask(to.id, message, options) as never,
      log: (level, text, fields = {}) => this.log({ level, actor, text, fields }),
      fail: (error) => this.#cells.get(actor)?.fail(error, "error"),
    };
  }

  /** Asks from outside of any actor. Rejects with `AskError`. */
  ask(to: string, message: Typed, options: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#ask(to, message, options, null, (result) => {
        if (result.ok) resolve(result.reply);
        else reject(new AskError(result.code, result.message, result.error ? { cause: errorFrom(result.error) } : undefined));
      });
    });
  }

  cellFailed(actor: string, reason: ExitReason, error: ErrorData): void {
    const cell = this.#cells.get(actor);
    this.#cells.delete(actor);
    cell?.closePort().catch((thrown: unknown) => {
      this.log({ level: "warn", actor, text: "the port of a failed actor did not close", fields: { error: String(thrown) } });
    });
    this.#options.onFailed(actor, reason, error);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endSweep?.();
    await Promise.all([...this.#cells.keys()].map((id) => this.stopActor(id)));
    this.asks.close();
  }

  #copy<Value>(value: Value): Value {
    return this.#options.copy ? this.#options.copy(value) : value;
  }
}
