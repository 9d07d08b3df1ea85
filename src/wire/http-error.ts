/**
 * The errors of the REST API: one table of codes and statuses, one shape of body.
 *
 * `{ "error": { "code", "message", "details"? } }`. Every code is in docs/errors.md.
 */

import * as z from "zod";
import { BoundaryError } from "../base/errors.js";
import { AskError } from "../runtime/ask-error.js";
import type { PauseReason } from "../store/journal-messages.js";
import type { Refusal } from "./master-calls.js";

/** Status of every code that this API answers with. */
export const statusOfCode: Readonly<Record<string, number>> = {
  BAD_CHECKPOINT: 400,
  BAD_DATASET: 400,
  BAD_REQUEST: 400,
  HISTORY_QUERY: 400,
  OUT_OF_RANGE: 400,
  UNAUTHORIZED: 401,
  NOT_FOUND: 404,
  UNKNOWN_DATASET: 404,
  UNKNOWN_TASK: 404,
  REQUEST_TIMEOUT: 408,
  CANNOT_PLACE: 409,
  DATASET_DIFFERS: 409,
  JOB_ENDING: 409,
  NOT_PAUSED: 409,
  NOT_RUNNING: 409,
  NOT_THE_HOLDER: 409,
  TOO_MANY_DATASETS: 409,
  UNSUPPORTED_AGENT: 409,
  BODY_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  HEADERS_TOO_LARGE: 431,
  ACTOR_FAILED: 500,
  INTERNAL: 500,
  STATE_DAMAGED: 500,
  STATE_IO: 500,
  STATE_NEWER: 500,
  ACTOR_NOT_FOUND: 503,
  ACTOR_RESTARTED: 503,
  MAILBOX_FULL: 503,
  STARTING: 503,
  STATE_DISK_FULL: 503,
  STATE_LOCKED: 503,
  STATE_NOT_FOUND: 503,
  SYSTEM_CLOSED: 503,
  TOO_MANY_CONNECTIONS: 503,
  TOO_MANY_STREAMS: 503,
  DEADLINE_EXCEEDED: 504,
};

export const errorBody = z.object({
  error: z.object({
    code: z.string().describe("stable; listed in docs/errors.md"),
    message: z.string().describe("one sentence for a person"),
    details: z
      .object({
        path: z.string().optional().describe("which part of the request"),
        value: z.string().optional().describe("what was passed"),
        allowed: z.string().optional().describe("what is allowed"),
        hint: z.string().optional().describe("what to do"),
      })
      .optional(),
  }),
});

export type ErrorDetails = Readonly<{ path?: string; value?: string; allowed?: string; hint?: string }>;

/** A request that is not carried out. Its status is the table's; a code that is not there is a refusal by the state of the job: 409. */
export class HttpError extends Error {
  override readonly name = "HttpError";
  readonly code: string;
  readonly status: number;
  readonly details: ErrorDetails;

  constructor(code: string, message: string, details: ErrorDetails = {}, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.status = statusOfCode[code] ?? 409;
    this.details = details;
  }

  get body(): z.infer<typeof errorBody> {
    const details = Object.keys(this.details).length === 0 ? {} : { details: this.details };
    return { error: { code: this.code, message: this.message, ...details } };
  }
}

/** Codes of fastify, its plugins and Node's HTTP parser, in our words. */
const codeOfServer: Readonly<Record<string, string>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: "BODY_TOO_LARGE",
  FST_ERR_CTP_INVALID_MEDIA_TYPE: "UNSUPPORTED_MEDIA_TYPE",
  HPE_HEADER_OVERFLOW: "HEADERS_TOO_LARGE",
  ERR_HTTP_REQUEST_TIMEOUT: "REQUEST_TIMEOUT",
};

const hints: Readonly<Record<string, string>> = {
  BODY_TOO_LARGE: "docs/api.md lists how large each body may be.",
  UNSUPPORTED_MEDIA_TYPE: "Send JSON, with Content-Type: application/json.",
  INTERNAL: "This is a defect of Drover; master.log in the job's folder has the stack.",
  STATE_DISK_FULL: "Make room on the disk of the job's folder; what waits then goes on by itself.",
  STATE_LOCKED: "Another program holds the write lock of the job's state.db; what waits goes on when it lets go.",
  DEADLINE_EXCEEDED: "It may still be carried out. Send it again with the same X-Request-Id.",
};

/** Whatever a handler threw, as an error of the API. `pause` is why acknowledgements wait now, if they do. */
export function httpErrorOf(thrown: unknown, pause: PauseReason | null): HttpError {
  if (thrown instanceof HttpError) return thrown;
  if (thrown instanceof BoundaryError) return new HttpError(thrown.code, thrown.message, thrown.details, { cause: thrown });
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  if (thrown instanceof AskError) {
    const code = thrown.code === "DEADLINE_EXCEEDED" && pause !== null ? pauseCodes[pause] : thrown.code;
    return withHint(code, message, thrown);
  }
  const { code = "", statusCode = 500 } = (thrown ?? {}) as { code?: string; statusCode?: number };
  const known = codeOfServer[code];
  if (known !== undefined) return withHint(known, message, thrown);
  return statusCode >= 400 && statusCode < 500 ? withHint("BAD_REQUEST", message, thrown) : withHint("INTERNAL", message, thrown);
}

const pauseCodes: Readonly<Record<PauseReason, string>> = { "disk-full": "STATE_DISK_FULL", "file-locked": "STATE_LOCKED" };

function withHint(code: string, message: string, cause: unknown): HttpError {
  const hint = hints[code] ?? (statusOfCode[code] === 503 ? "Try again; Retry-After says when." : undefined);
  return new HttpError(code, message, hint === undefined ? {} : { hint }, { cause });
}

/** The reply of a component; its refusal is thrown as an error of the API. */
export async function granted<Reply extends object>(reply: Promise<Reply | Refusal>): Promise<Exclude<Reply, Refusal>> {
  const given = await reply;
  if (isRefusal(given)) throw new HttpError(given.code, given.message);
  return given as Exclude<Reply, Refusal>;
}

function isRefusal(reply: object): reply is Refusal {
  return "ok" in reply && reply.ok === false;
}
