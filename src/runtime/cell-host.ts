/** What an actor cell needs of the place that hosts it: a thread, the caller's thread, or the simulator. */

import type { Journal } from "../store/journal.js";
import type { ActorDefinition, ActorPort, ActorRef, AskOptions, Cause, ExitReason, PortContext, Typed } from "./actor.js";
import type { AskEnvelope, ErrorData } from "./envelope.js";
import type { AskResult } from "./pending-asks.js";

export type LogLevel = "debug" | "info" | "warn" | "error";

/** Where the answer to an ask goes. */
export type AskAddress = Pick<AskEnvelope, "host" | "askId" | "waiting">;

/** One line for the log of the process. */
export type LogLine = Readonly<{ level: LogLevel; actor: string; text: string; fields: Readonly<Record<string, unknown>> }>;

/** An actor as its host holds it. */
export interface HostedCell {
  readonly self: ActorRef<Typed>;
  readonly hasPort: boolean;
  /** Actors that it monitors. */
  readonly watched: readonly string[];
  drain(): void;
  halt(): Promise<void>;
}

export interface CellHost {
  now(): number;
  random(): number;
  /** Runs `call` after `delayMs`; gives what ends it. */
  setTimer(delayMs: number, call: () => void): () => void;
  /** Has the cell drain its mailbox soon, after what is running now. */
  schedule(cell: HostedCell): void;
  readonly journal: Journal | null;
  log(line: LogLine): void;
  sendTell(from: string, to: string, message: Typed, isControl: boolean, cause: Cause | null): void;
  sendAsk(to: string, message: Typed, options: AskOptions, cause: Cause | null, settle: (result: AskResult) => void): void;
  sendReply(ask: AskAddress, reply: unknown): void;
  /** Ends an ask without an answer of the actor. */
  failAsk(ask: AskAddress, code: "ACTOR_FAILED", message: string, error: ErrorData | null): void;
  /** The ask will be answered by its number, later. */
  putOff(ask: AskAddress): void;
  monitor(target: string, watcher: HostedCell, onDown: (reason: ExitReason) => void): void;
  /** A port that stands in for the definition's own (tests, simulator), or null. */
  portFor(actor: string, context: PortContext<Typed>): ActorPort<unknown> | null;
  portContext(actor: string): PortContext<Typed>;
  /** The actor failed; it will get no more messages. Called once. */
  cellFailed(cell: HostedCell, reason: ExitReason, error: ErrorData): void;
  /** The actor ended itself; it will get no more messages. Called once. */
  cellStopped(cell: HostedCell): void;
  deadLetter(to: string, message: Typed, why: string): void;
}

/** The definition as a host handles it: types of state and messages are the actor's own business. */
export type AnyDefinition = ActorDefinition<unknown, Typed, Typed, unknown, unknown>;
