/**
 * What comes over DLRover's wire, gRPC or HTTP, and what goes back: the envelope is opened, the message read, its row asked.
 *
 * - D1  A known message gets a full answer. What cannot be read, is unknown, or stands on the wrong method is answered neutrally, as DLRover's own
 *       master answers it: a stock client retries an error for 50 s and blocks meanwhile. It is counted, and logged once a kind and class.
 * - D2  An error is answered only when nobody could be asked: then the client's retry is what is wanted.
 * - D3  A job uid that is not the job's is refused; where a token is needed it comes as `authorization` or as the job uid.
 */

import { createHash, timingSafeEqual } from "node:crypto";
import type { MasterCalls } from "../master-calls.js";
import { isAuthorized } from "../token.js";
import { readMessage } from "./message-codec.js";
import { PickleError } from "./pickle-error.js";
import type { Message } from "./message-classes.js";
import type { Method } from "./row.js";
import { rowOf } from "./table.js";

export type Envelope = Readonly<{ nodeId: number; nodeType: string; data: Uint8Array }>;

/** As the headers of a request or the metadata of a call have them. */
export type Credentials = Readonly<{ jobUid: string; authorization: string | undefined }>;

export type DeskOptions = Readonly<{
  /** "": none is asked for. */
  jobUid: string;
  /** What a call must carry; null: nothing. */
  token: string | null;
  log: (level: "warn" | "error", text: string, fields: Readonly<Record<string, unknown>>) => void;
}>;

/** Messages that were answered neutrally, by what was wrong with them. */
export type Misfit = "undecodable" | "unknown" | "wrong-method";
export type MisfitCount = Readonly<{ kind: Misfit; cls: string; count: number }>;

/** Classes that are counted apart; more are counted together. */
const classesMax = 100;

export class DlroverDesk {
  readonly #master: MasterCalls;
  readonly #options: DeskOptions;
  readonly #misfits = new Map<string, { kind: Misfit; cls: string; count: number }>();
  /** Messages answered, by method and class. */
  readonly served = new Map<string, number>();

  constructor(master: MasterCalls, options: DeskOptions) {
    this.#master = master;
    this.#options = options;
  }

  get misfits(): readonly MisfitCount[] {
    return [...this.#misfits.values()];
  }

  /** D3. */
  isWelcome({ jobUid, authorization }: Credentials): boolean {
    const { token, jobUid: own } = this.#options;
    if (token !== null) return isAuthorized(authorization, token) || isSame(jobUid, token);
    return jobUid === "" || own === "" || jobUid === own;
  }

  /** The pickle that answers a get, yes or no to a report; null is the neutral answer (D1). Rejects where nobody could be asked (D2). */
  async serve(method: Method, { nodeId, nodeType, data }: Envelope, hasLeft: () => boolean): Promise<Uint8Array | boolean | null> {
    const message = this.#read(data);
    if (!message) return null;
    const row = rowOf(method, message.cls);
    if (!row) {
      this.#note(rowOf(method === "get" ? "report" : "get", message.cls) ? "wrong-method" : "unknown", message.cls, { method });
      return null;
    }
    const name = `${method} ${message.cls}`;
    this.served.set(name, (this.served.get(name) ?? 0) + 1);
    return row.handle(message, { sender: { type: nodeType, id: nodeId }, master: this.#master, hasLeft });
  }

  #read(data: Uint8Array): Message | null {
    try {
      return readMessage(data);
    } catch (error) {
      if (!(error instanceof PickleError)) throw error;
      const isClass = /the class [\w.]*?(\w+);/.exec(error.message);
      this.#note(isClass ? "unknown" : "undecodable", isClass?.[1] ?? "", { bytes: data.length, why: error.message });
      return null;
    }
  }

  #note(kind: Misfit, cls: string, fields: Readonly<Record<string, unknown>>): void {
    const name = this.#misfits.size < classesMax ? cls : "";
    const key = `${kind} ${name}`;
    const known = this.#misfits.get(key);
    if (known) known.count += 1;
    else {
      this.#misfits.set(key, { kind, cls: name, count: 1 });
      this.#options.log("warn", `a message of DLRover's wire is ${kind}; it is answered neutrally`, { cls: name, ...fields });
    }
  }
}

function isSame(given: string, wanted: string): boolean {
  const digest = (text: string): Buffer => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
