/** What passes between the hosts of actors: messages with what is needed to answer them. Plain data, safe in any frame. */

import { BoundaryError } from "../base/errors.js";
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
  /** When the asker stops waiting: an ask that is received later is not worth acting on. */
  expiresAtMs: number;
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

/**
 * An envelope without the names of its fields, for a way that would send them each time (structured clone). Without `waiting`, which stays where it is.
 */
export type BareEnvelope =
  | readonly [kind: "tell", to: string, message: Typed, isControl: boolean, cause: Cause | null]
  | readonly [kind: "ask", to: string, message: Typed, isControl: boolean, cause: Cause | null, ...asker: BareAsker]
  | readonly [kind: "reply", host: number, askId: number, reply: unknown]
  | readonly [kind: "fail", host: number, askId: number, code: AskErrorCode, message: string, error: ErrorData | null];

type BareAsker = readonly [host: number, askId: number, requestId: string | null, isIdempotent: boolean, expiresAtMs: number];

export function bareOf(envelope: Envelope): BareEnvelope {
  switch (envelope.kind) {
    case "tell":
      return ["tell", envelope.to, envelope.message, envelope.isControl, envelope.cause];
    case "ask": {
      const { to, message, isControl, cause, host, askId, requestId, isIdempotent, expiresAtMs } = envelope;
      return ["ask", to, message, isControl, cause, host, askId, requestId, isIdempotent, expiresAtMs];
    }
    case "reply":
      return ["reply", envelope.host, envelope.askId, envelope.reply];
    case "fail":
      return ["fail", envelope.host, envelope.askId, envelope.code, envelope.message, envelope.error];
  }
}

/** What `bareOf` made. */
export function envelopeOf(bare: BareEnvelope): Envelope {
  switch (bare[0]) {
    case "tell": {
      const [kind, to, message, isControl, cause] = bare;
      return { kind, to, message, isControl, cause };
    }
    case "ask": {
      const [kind, to, message, isControl, cause, host, askId, requestId, isIdempotent, expiresAtMs] = bare;
      return { kind, to, message, isControl, cause, host, askId, requestId, isIdempotent, expiresAtMs, waiting: null };
    }
    case "reply": {
      const [kind, host, askId, reply] = bare;
      return { kind, host, askId, reply };
    }
    case "fail": {
      const [kind, host, askId, code, message, error] = bare;
      return { kind, host, askId, code, message, error };
    }
  }
}

/** An error as data: it crosses a thread with everything that says what it was and where it came from. */
export type ErrorData = Readonly<{
  name: string;
  message: string;
  stack: string;
  code: string | null;
  details: Readonly<Record<string, unknown>> | null;
  cause: ErrorData | null;
}>;

/** Causes that are followed: a chain may be a circle. */
const causesMax = 8;

export function errorData(thrown: unknown, causes = causesMax): ErrorData {
  if (!(thrown instanceof Error)) return { name: "Error", message: String(thrown), stack: "", code: null, details: null, cause: null };
  const code = "code" in thrown && typeof thrown.code === "string" ? thrown.code : null;
  const details = "details" in thrown ? plainCopy(thrown.details) : null;
  const cause = thrown.cause === undefined || causes === 0 ? null : errorData(thrown.cause, causes - 1);
  return { name: thrown.name, message: thrown.message, stack: thrown.stack ?? "", code, details, cause };
}

/** What JSON can carry of an error's details: they are for people, and must not be what fails. */
function plainCopy(details: unknown): ErrorData["details"] {
  if (typeof details !== "object" || details === null) return null;
  try {
    return JSON.parse(JSON.stringify(details)) as Readonly<Record<string, unknown>>;
  } catch {
    return { unreadable: true };
  }
}

/** The error again, on the other side; one that was a `BoundaryError` is one again. */
export function errorFrom(data: ErrorData): Error {
  const options = data.cause ? { cause: errorFrom(data.cause) } : undefined;
  if (data.name === "BoundaryError" && data.code !== null) {
    return Object.assign(new BoundaryError(data.code, data.message, data.details ?? {}, options), { stack: data.stack });
  }
  const { name, stack, code, details } = data;
  return Object.assign(new Error(data.message, options), { name, stack }, code === null ? {} : { code }, details === null ? {} : { details });
}
