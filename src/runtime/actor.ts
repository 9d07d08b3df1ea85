/**
 * What an actor is: the contract between a component and the runtime that hosts it.
 *
 * An actor is plain data (its state) and plain functions over it. It never sees a thread, a socket, a clock or a file; everything
 * that it may know of the world comes through `ActorContext`. That is what lets one definition run in a worker thread, in the
 * caller's thread, and in the simulator under virtual time.
 *
 * Invariants that every host of actors upholds (cited as R1 … R6 in the code):
 *
 * - R1  One message at a time; `receive` is synchronous and nothing else touches the state.
 * - R2  An event is applied when it is emitted; the batch of events is durable before any reply, tell, ask or port command that
 *       was made in that batch leaves the actor.
 * - R3  Recovery is the newest snapshot, then `apply` of every later event, in order; `receive` is never run again.
 * - R4  Every ask ends exactly once: reply, refusal by the runtime (`AskError`), or deadline.
 * - R5  Messages from one sender to one actor arrive in the order in which they were sent, but control messages overtake others.
 * - R6  A request id that was answered is answered again with the same reply and not received twice, as long as it is remembered; one
 *       whose answer was put off is answered together with the first.
 */

export declare const messageOf: unique symbol;
export declare const replyOf: unique symbol;

/** A message that expects no answer. */
export type Tell<Type extends string, Fields extends object = object> = Readonly<{ type: Type } & Fields>;

/** A message that is answered with `Reply`; refusals that are expected are part of `Reply`, as `{ ok: false, code, … }`. */
export type Ask<Type extends string, Fields extends object, Reply> = Readonly<
  { type: Type } & Fields & { [replyOf]?: Reply }
>;

/** The shape that every message and event has. */
export type Typed = Readonly<{ type: string }>;

/** The answer that a message is declared to get; `never` for a tell. */
export type ReplyTo<Message> = Message extends { [replyOf]?: infer Reply } ? Exclude<Reply, undefined> : never;

/** The answer to the message of this type in a family of messages. */
export type ReplyOf<Message extends Typed, Type extends string> = ReplyTo<Extract<Message, Readonly<{ type: Type }>>>;

/**
 * Where an actor is reached: plain data, safe inside a message, the same before and after a restart of the actor.
 * `id` is unique within an actor system (1 to 128 characters).
 */
export type ActorRef<Message extends Typed> = Readonly<{ id: string; [messageOf]?: (message: Message) => void }>;

/** The ref of the actor that is registered under `id`, whether it runs now or not. */
export function actorRef<Message extends Typed>(id: string): ActorRef<Message> {
  return { id };
}

/** Why the runtime could not get an answer. The codes are documented in docs/errors.md. */
export type AskErrorCode =
  | "MAILBOX_FULL"
  | "DEADLINE_EXCEEDED"
  | "ACTOR_RESTARTED"
  | "ACTOR_NOT_FOUND"
  | "ACTOR_FAILED"
  | "SYSTEM_CLOSED";

/** How an ask made by an actor ended. */
export type AskOutcome<Reply> =
  | Readonly<{ ok: true; reply: Reply }>
  | Readonly<{ ok: false; code: AskErrorCode; message: string }>;

/** Why an actor stopped, in OTP's words: `normal` and `shutdown` are clean, everything else is a failure. */
export type ExitReason =
  | Readonly<{ kind: "normal" | "shutdown" }>
  | Readonly<{ kind: "error" | "thread-exit" | "heap-limit" | "unresponsive" | "restart-intensity"; message: string }>;

/** A promise to answer later. Held in volatile state only: after a restart the asker gets `ACTOR_RESTARTED`. */
export type ReplyHandle<Reply> = Readonly<{ askId: number; from: string; [replyOf]?: Reply }>;

export interface AskOptions {
  /** Milliseconds until the ask fails with `DEADLINE_EXCEEDED`. 1 to 3,600,000; default 10,000. */
  readonly deadlineMs?: number;
  /** Overtakes messages of the normal lane. Default false. */
  readonly isControl?: boolean;
  /** Names this request: sent again with the same id it is answered from memory (R6). 1 to 128 characters; default none. */
  readonly requestId?: string;
  /** May be delivered again when the actor restarts before it answered. Default false: the ask fails with `ACTOR_RESTARTED`. */
  readonly isIdempotent?: boolean;
}

/** All that an actor may know of the world and do to it, valid during `receive`, `started` and `batchEnd` only. */
export interface ActorContext<Message extends Typed, Event extends Typed> {
  readonly self: ActorRef<Message>;
  /** The actor's clock: milliseconds since 1970, never goes back within a process. Virtual in the simulator. */
  now(): number;
  /** Uniform in [0, 1); seeded in the simulator. */
  random(): number;
  /** A new id, `prefix-` and 12 characters, from `random()`. */
  newId(prefix: string): string;

  /** Applies the event to the state at once and makes it durable before anything of this batch leaves (R2). */
  emit(event: Event): void;
  /** Answers the ask that is being received. A second answer, or an answer to a tell, is a defect and throws. */
  reply(reply: unknown): void;
  /** Keeps the ask that is being received open; `answer` ends it. Its deadline goes on running. */
  deferReply<Reply>(): ReplyHandle<Reply>;
  /** Answers a kept ask. One that was answered or has expired is counted and dropped. */
  answer<Reply>(handle: ReplyHandle<Reply>, reply: Reply): void;

  tell<Other extends Typed>(to: ActorRef<Other>, message: Other, options?: Pick<AskOptions, "isControl">): void;
  /** Asks another actor; the outcome comes back as a message to this one. */
  ask<Other extends Typed, Type extends Other["type"]>(
    to: ActorRef<Other>,
    message: Other & Readonly<{ type: Type }>,
    toMessage: (outcome: AskOutcome<ReplyOf<Other, Type>>) => Message,
    options?: AskOptions,
  ): void;
  /** Sends `message` to this actor after `delayMs` (0 to 2^31-1). A pending timer with the same key is replaced. Not durable. */
  after(delayMs: number, key: string, message: Message): void;
  /** Calls a timer off; its message does not come even if it was due already. */
  cancel(key: string): void;
  /**
   * `toMessage` is received once when the actor behind `ref` stops or fails; at once if there is no such actor. One that is being
   * restarted counts as there: its next end is told.
   */
  monitor<Other extends Typed>(ref: ActorRef<Other>, toMessage: (reason: ExitReason) => Message): void;
  /** Ends this actor with the exit reason `normal` after this message, once all that it did is durable and sent. */
  stop(): void;
  /** Hands a command to this actor's port, after the batch is durable (R2). A defect if the definition has no port. */
  perform(command: unknown): void;
  /** One structured line in the log of the process. `fields` must hold no secrets. */
  log(level: "debug" | "info" | "warn" | "error", text: string, fields?: Readonly<Record<string, unknown>>): void;
  /** The context of the message that is being received, for `cause` chains: the sequence number of the event that led here. */
  readonly cause: Cause;
}

/** What led to a message: its type, and the event that its sender had emitted last in the same batch (`actor` and `seq`). */
export type Cause = Readonly<{ message: string; from?: string; event?: Readonly<{ actor: string; seq: number }> }>;

/** I/O on behalf of one actor: the only place in a component where the outside world is touched. */
export interface ActorPort<Command> {
  /** Carries out a command. What comes of it is told to the actor; an exception fails the actor. */
  perform(command: Command): void;
  close(): Promise<void>;
}

/** What a port may do with the actor system. Usable at any time, also from callbacks and promises. */
export interface PortContext<Message extends Typed> {
  readonly self: ActorRef<Message>;
  now(): number;
  tell<Other extends Typed>(to: ActorRef<Other>, message: Other, options?: Pick<AskOptions, "isControl">): void;
  /** Rejects with `AskError`. */
  ask<Other extends Typed, Type extends Other["type"]>(
    to: ActorRef<Other>,
    message: Other & Readonly<{ type: Type }>,
    options?: AskOptions,
  ): Promise<ReplyOf<Other, Type>>;
  log(level: "debug" | "info" | "warn" | "error", text: string, fields?: Readonly<Record<string, unknown>>): void;
  /** Fails the actor as if it had thrown: the supervisor decides. */
  fail(error: Error): void;
}

/** How the durable part of a state is written and read back. */
export interface SnapshotSpec<State> {
  /** Raised when `take`'s shape changes; `parse` gets the version that was written. */
  readonly version: number;
  /** The durable part, as data that msgpackr can carry (Map, Set, bigint, Uint8Array included). */
  take(state: State): unknown;
  /** The state out of what `take` gave. Throws `BoundaryError` for what it cannot read. */
  parse(taken: unknown, version: number, options: unknown): State;
  /** A snapshot is taken once this many events have come since the last. 1 to 1,000,000; default 1,000: replay is that long at most. */
  readonly everyEvents?: number;
  /**
   * About as many events as this state are as large as it. No snapshot is taken before half as many have come, so that those of a large state cost
   * little more than its events; also of one that grows with each. Replay is that long at most. Default 0.
   */
  size?(state: State): number;
}

export interface ActorDefinition<State, Message extends Typed, Event extends Typed, Options = unknown, Command = never> {
  /** The kind of actor; a definition in a thread is found by it. */
  readonly name: string;
  /** `import.meta.url` of the file that exports this definition: how another thread loads it. */
  readonly module: string;
  /** The state of an actor without history. `options` is plain data. */
  init(options: Options): State;
  /** After `init` or recovery, before the first message: timers, monitors, what is volatile. */
  started?(state: State, ctx: ActorContext<Message, Event>): void;
  receive(state: State, message: Message, ctx: ActorContext<Message, Event>): void;
  /** The only place where durable state changes. Total over events ever written; no clock, no randomness, no effect. */
  apply(state: State, event: Event): void;
  /** After each drained batch, before its events are made durable. */
  batchEnd?(state: State, ctx: ActorContext<Message, Event>): void;
  /** Absent: the actor is not durable, `emit` only applies. */
  readonly snapshot?: SnapshotSpec<State>;
  /** Opens the actor's port when it starts. Not called where the host has a port of its own for it (simulator, tests). */
  openPort?(options: Options, ctx: PortContext<Message>): ActorPort<Command> | Promise<ActorPort<Command>>;
}

/** Gives a definition its types. */
export function defineActor<State, Message extends Typed, Event extends Typed, Options = unknown, Command = never>(
  definition: ActorDefinition<State, Message, Event, Options, Command>,
): ActorDefinition<State, Message, Event, Options, Command> {
  return definition;
}
