/**
 * One place where actors live: the cells of a thread, the asks that wait there, and the way to actors elsewhere.
 *
 * Knows actors by id and other hosts by number; how an envelope reaches another host is a `Link`'s business.
 */

import type { Journal } from "../store/journal.js";
import type { ActorPort, AskOptions, Cause, ExitReason, PortContext, Typed } from "./actor.js";
import { ActorCell, type CellInspection } from "./actor-cell.js";
import { AskError } from "./ask-error.js";
import type { AnyDefinition, AskAddress, CellHost, HostedCell, LogLine } from "./cell-host.js";
import type { Clock } from "./clock.js";
import { type AskEnvelope, type Envelope, type ErrorData, type FailEnvelope, type ReplyEnvelope, type TellEnvelope, errorData, errorFrom } from "./envelope.js";
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
  /** An actor ended itself (`ctx.stop`). */
  onStopped?: (actor: string) => void;
  /** Ports that stand in for the definitions' own. */
  ports?: Readonly<Record<string, (context: PortContext<Typed>) => ActorPort<unknown>>>;
  /** Passes each message through the codec although it stays here. */
  copy?: <Value>(value: Value) => Value;
  /** How a cell gets its turn (simulator). Default: the microtask queue, with turns for the event loop. */
  defer?: (call: () => void) => void;
}>;

type Monitor = Readonly<{ watcher: HostedCell; onDown: (reason: ExitReason) => void }>;

/** Messages kept for an actor that is being restarted, and those that found no one, at most. */
const parkedMax = 10_000;
/** How long the port of a failed actor may take to close before the actor is started again regardless. */
const portCloseMsMax = 1_000;
/** How long cells are drained before the event loop gets a turn. */
const sliceMs = 10;

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
  #sweepAtMs = Number.POSITIVE_INFINITY;
  /** Cells with something in their mailbox, in the order of their turns. */
  #runnable: HostedCell[] = [];
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
    try {
      await cell.start(options);
    } catch (thrown) {
      if (this.#cells.get(id) === cell) {
        this.#cells.delete(id);
        this.#directory.set(id, null); // Messages wait again, until its supervisor says what becomes of it.
      }
      await this.#stop(cell);
      throw thrown;
    }
    this.#unpark(id);
  }

  /** Starts an actor that is neither durable nor has a port, at once. */
  startPlain(id: string, definition: AnyDefinition, options: unknown): void {
    const cell = new ActorCell(id, definition, this);
    cell.startPlain(options);
    this.#cells.set(id, cell);
  }

  async stopActor(id: string): Promise<void> {
    const cell = this.#cells.get(id);
    this.#cells.delete(id);
    if (cell) await this.#stop(cell);
  }

  /** Ends a cell; that its port does not close well is worth a line and no more. */
  async #stop(cell: HostedCell): Promise<void> {
    this.#forgetWatcher(cell);
    try {
      await cell.halt();
    } catch (thrown) {
      this.log({ level: "warn", actor: cell.self.id, text: "a port did not close", fields: { error: String(thrown) } });
    }
  }

  #forgetWatcher(cell: HostedCell): void {
    for (const target of cell.watched) {
      const others = (this.#monitors.get(target) ?? []).filter(({ watcher }) => watcher !== cell);
      if (others.length > 0) this.#monitors.set(target, others);
      else this.#monitors.delete(target);
    }
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

  /** The other host is gone. */
  disconnect(host: number): void {
    this.#links.delete(host);
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
    if (isComingBack) return;
    for (const id of ids) this.#unpark(id); // Nobody will come for these.
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
    if (host === undefined) return this.#refuse(envelope, "ACTOR_NOT_FOUND", `there is no actor ${envelope.to}`);
    const link = host === null ? undefined : this.#links.get(host);
    if (link) link.send(envelope);
    else this.#park(envelope); // Where it lived is gone: it will be said what becomes of it.
  }

  #park(envelope: AskEnvelope | TellEnvelope): void {
    const parked = this.#parked.get(envelope.to) ?? [];
    if (parked.length >= parkedMax) return this.#refuse(envelope, "MAILBOX_FULL", `${envelope.to} is being restarted`);
    parked.push(envelope);
    this.#parked.set(envelope.to, parked);
  }

  #answer(envelope: ReplyEnvelope | FailEnvelope): void {
    if (envelope.host === this.index) this.receive(envelope);
    else this.#links.get(envelope.host)?.send(envelope);
  }

  /** A link could not encode what this host had sent: a defect of the sender, told to whoever waits. */
  unsendable(envelope: Envelope, thrown: unknown): void {
    const why = `it cannot be encoded: ${thrown instanceof Error ? thrown.message : String(thrown)}`;
    this.log({ level: "error", actor: "to" in envelope ? envelope.to : "", text: `a message was not sent, ${why}`, fields: { kind: envelope.kind } });
    if (envelope.kind === "tell" || envelope.kind === "ask") this.#refuse(envelope, "ACTOR_FAILED", why);
    else if (envelope.kind === "reply") this.failAsk({ ...envelope, waiting: null }, "ACTOR_FAILED", `the reply: ${why}`, errorData(thrown));
  }

  #refuse(envelope: AskEnvelope | TellEnvelope, code: FailEnvelope["code"], why: string): void {
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

  schedule(cell: HostedCell): void {
    if (this.#options.defer) this.#options.defer(() => cell.drain());
    else if (this.#runnable.push(cell) === 1) queueMicrotask(() => this.#run());
  }

  /** Gives every cell its turn, as long as there is work; sockets, timers and the health probe get theirs in between. */
  #run(): void {
    const sinceMs = performance.now();
    let next = 0;
    for (let cell = this.#runnable[next]; cell; cell = this.#runnable[next]) {
      cell.drain();
      next++;
      if (next % 8 === 0 && performance.now() - sinceMs > sliceMs) break;
    }
    this.#runnable = this.#runnable.slice(next);
    if (this.#runnable.length > 0) setImmediate(() => this.#run());
  }

  log(line: LogLine): void {
    this.#options.log(line);
  }

  sendTell(_from: string, to: string, message: Typed, isControl: boolean, cause: Cause | null): void {
    this.#send({ kind: "tell", to, message: this.#copy(message), isControl, cause });
  }

  sendAsk(to: string, message: Typed, options: AskOptions, cause: Cause | null, settle: (result: AskResult) => void): void {
    const { deadlineMs = 10_000, isControl = false, isIdempotent = false, requestId = null } = options;
    if (this.#isClosed) return settle({ ok: false, code: "SYSTEM_CLOSED", message: "the actor system is closed", error: null });
    const copy = this.#copy(message);
    const waiting = this.asks.open(to, this.now(), deadlineMs, settle);
    const { askId, expiresAtMs } = waiting;
    const isHere = this.#cells.has(to);
    const ask: AskEnvelope = {
      kind: "ask",
      to,
      message: copy,
      isControl,
      cause,
      host: this.index,
      askId,
      requestId,
      isIdempotent,
      expiresAtMs,
      waiting: isHere ? waiting : null,
    };
    if (!isHere || isIdempotent) this.asks.number(waiting); // An idempotent one may be answered by another life of the actor, elsewhere.
    if (isIdempotent) waiting.resend = { ...ask, waiting: null };
    if (expiresAtMs < this.#sweepAtMs) this.#sweepAt(expiresAtMs);
    this.#send(ask);
  }

  #sweepAt(atMs: number): void {
    this.#endSweep?.();
    this.#sweepAtMs = Math.max(atMs, this.now() + sweepEveryMs);
    this.#endSweep = this.setTimer(this.#sweepAtMs - this.now(), () => {
      this.#endSweep = null;
      this.#sweepAtMs = Number.POSITIVE_INFINITY;
      const dueAtMs = this.asks.sweep(this.now());
      if (dueAtMs !== null && dueAtMs < this.#sweepAtMs) this.#sweepAt(dueAtMs);
    });
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

  monitor(target: string, watcher: HostedCell, onDown: (reason: ExitReason) => void): void {
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
      fail: (error) => this.#cells.get(actor)?.fail(error),
    };
  }

  /** Asks from outside of any actor. Rejects with `AskError`. */
  ask(to: string, message: Typed, options: AskOptions = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.sendAsk(to, message, options, null, (result) => {
        if (result.ok) resolve(result.reply);
        else reject(new AskError(result.code, result.message, result.error ? { cause: errorFrom(result.error) } : undefined));
      });
    });
  }

  cellFailed(cell: HostedCell, reason: ExitReason, error: ErrorData): void {
    this.#leave(cell, () => this.#options.onFailed(cell.self.id, reason, error));
  }

  cellStopped(cell: HostedCell): void {
    this.#leave(cell, () => this.#options.onStopped?.(cell.self.id));
  }

  /** An actor's end is told once its port is closed, or refuses to: the next life may need what the port holds. */
  #leave(cell: HostedCell, tell: () => void): void {
    const { id } = cell.self;
    if (this.#cells.get(id) === cell) this.#cells.delete(id);
    this.#directory.set(id, null); // Until its supervisor says what becomes of it.
    if (!cell.hasPort) {
      this.#forgetWatcher(cell);
      tell();
      return;
    }
    let end: () => void = () => undefined;
    const patience = new Promise<void>((resolve) => (end = this.setTimer(portCloseMsMax, resolve)));
    void Promise.race([this.#stop(cell), patience]).then(() => {
      end();
      tell();
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#endSweep?.();
    this.#endSweep = null;
    await Promise.all([...this.#cells.keys()].map((id) => this.stopActor(id)));
    this.asks.close();
  }

  #copy<Value>(value: Value): Value {
    return this.#options.copy ? this.#options.copy(value) : value;
  }
}
