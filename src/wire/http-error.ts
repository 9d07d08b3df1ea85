/**
 * The errors of the REST API: one table of codes and statuses, one shape of body.
 *
 * `{ "error": { "code", "message", "hint"? } }`. Every code is in docs/errors.md.
 */

import { AskError } from "../runtime/ask-error.js";

/** Statuses of the codes that are not 409 (a refusal by the state of the job). */
const statusOf: Readonly<Record<string, number>> = {
  BAD_REQUEST: 400,
  BAD_DATASET: 400,
  BAD_CHECKPOINT: 400,
  OUT_OF_RANGE: 400,
  HISTORY_QUERY: 400,
  UNAUTHORIZED: 401,
  NOT_FOUND: 404,
  UNKNOWN_DATASET: 404,
  UNKNOWN_TASK: 404,
  UNKNOWN_NODE: 404,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  INTERNAL: 500,
  MAILBOX_FULL: 503,
  ACTOR_RESTARTED: 503,
  ACTOR_NOT_FOUND: 503,
  ACTOR_FAILED: 503,
  SYSTEM_CLOSED: 503,
  DEADLINE_EXCEEDED: 504,
};

/** A request that is not carried out. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code: string;
  readonly status: number;
  readonly hint: string | null;

  constructor(code: string, message: string, hint: string | null = null) {
    super(message);
    this.code = code;
    this.status = statusOf[code] ?? 409;
    this.hint = hint;
  }

  get body(): object {
    const hint = this.hint === null ? {} : { hint: this.hint };
    return { error: { code: this.code, message: this.message, ...hint } };
  }
}

/** Codes of fastify and its plugins, in our words. */
const codeOfFastify: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
};

/** Whatever a handler threw, as an error of the API. */
export function httpErrorOf(thrown: unknown): HttpError {
  if (thrown instanceof HttpError) return thrown;
  if (thrown instanceof AskError) return new HttpError(thrown.code, thrown.message, "Try again; nothing was lost.");
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  const { code = "", statusCode = 500 } = (thrown ?? {}) as { code?: string; statusCode?: number };
  const known = codeOfFastify[code];
  if (known !== undefined) return new HttpError(known, message);
  if (statusCode === 429) return new HttpError("RATE_LIMITED", message, "Wait as Retry-After says.");
  if (statusCode >= 400 && statusCode < 500) return new HttpError("BAD_REQUEST", message);
  return new HttpError("INTERNAL", message, "This is a defect of Drover; master.log has the stack.");
}

/** The reply of an actor; its refusal is thrown as an error of the API. */
export function granted<Reply extends object>(reply: Reply): Exclude<Reply, { ok: false }> {
  if ("ok" in reply && reply.ok === false) {
    const { code, message } = reply as unknown as { code: string; message: string };
    throw new HttpError(code, message);
  }
  return reply as Exclude<Reply, { ok: false }>;
}
