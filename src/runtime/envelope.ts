/** What passes between the hosts of actors: messages with what is needed to answer them. Plain data, safe in any frame. */

import type { AskErrorCode, Cause, Typed } from "./actor.js";
import type { Waiting } from "./pending-asks.js";

export type TellEnvelope = Readonly<{ kind: "tell"; to: string; message: Typed; isControl: boolean; cause: Cause | null }>;

export type AskEnvelope = Readonly<{
  kind: "ask";
  to: string;
  message: Typed;
  isControl: boolean;
  cause: Cause | null;
  /** Who waits: the host (thread) of the asker, and its number for this ask. */
  host: number;
  askId: number;
  requestId: string | null;
  isIdempotent: boolean;
  /** The asker's own record, where asker and actor share a host; never in a frame. */
  waiting: Waiting | null;
}>;

export type ReplyEnvelope = Readonly<{ kind: "reply"; host: number; askId: number; reply: unknown }>;

export type FailEnvelope = Readonly<{
  kind: "fail";
  host: number;
  askId: number;
  code: AskErrorCode;
  message: string;
  /** What was thrown, when something was. */
  error: ErrorData | null;
}>;

export type Envelope = TellEnvelope | AskEnvelope | ReplyEnvelope | FailEnvelope;

/** An error as data: it crosses a thread with everything that says where it came from. */
export type ErrorData = Readonly<{ name: string; message: string; stack: string; code: string | null; cause: ErrorData | null }>;

export function errorData(thrown: unknown): ErrorData {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown), stack: "", code: null, cause: null };
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : null;
  const cause = thrown.cause === undefined ? null : errorData(thrown.cause);
  return { name: thrown.name, message: thrown.message, stack: thrown.stack ?? "", code, cause };
}

/** The error again, on the other side. */
export function errorFrom(data: ErrorData): Error {
  const error = new Error(data.message, data.cause ? { cause: errorFrom(data.cause) } : undefined);
  error.name = data.name;
  error.stack = data.stack;
  return data.code === null ? error : Object.assign(error, { code: data.code });
}
