/**
 * The requests of one actor that have an id (R6): a retried one gets the answer that it had, or joins the one that is under way, and does
 * not act twice.
 *
 * Bounded: the oldest answer is forgotten first. A durable actor keeps its answers in the journal beside its events.
 */

import type { AskAddress } from "./cell-host.js";

/** Answers that an actor remembers. A request retried later than that many others acts again. */
export const answersMax = 4_096;

/** Askers of one request that are answered together; the oldest has given up by then. */
const askersMax = 16;

/** The event by which a durable actor remembers an answer; never handed to `apply`. */
export type AnsweredEvent = Readonly<{ type: "$answered"; requestId: string; reply: unknown }>;

export class Answered {
  readonly #replies = new Map<string, unknown>();
  /** Requests that are kept open: who asked. */
  readonly #open = new Map<string, AskAddress[]>();
  readonly #openIds = new Map<string, string>();

  has(requestId: string): boolean {
    return this.#replies.has(requestId);
  }

  get(requestId: string): unknown {
    return this.#replies.get(requestId);
  }

  remember(requestId: string, reply: unknown): void {
    this.#replies.set(requestId, reply);
    if (this.#replies.size <= answersMax) return;
    for (const oldest of this.#replies.keys()) {
      this.#replies.delete(oldest);
      break;
    }
  }

  entries(): [string, unknown][] {
    return [...this.#replies];
  }

  /** The answer to this request was put off. */
  keepOpen(requestId: string, asker: AskAddress): void {
    this.#open.set(requestId, [asker]);
    this.#openIds.set(nameOf(asker), requestId);
  }

  /** True when the request is under way: this asker will be answered with it. */
  join(requestId: string, asker: AskAddress): boolean {
    const askers = this.#open.get(requestId);
    if (!askers) return false;
    askers.push(asker);
    if (askers.length > askersMax) askers.shift();
    return true;
  }

  /** Ends an open request, named by its first asker; null when it has no id. */
  take(first: AskAddress): Readonly<{ requestId: string; askers: readonly AskAddress[] }> | null {
    const requestId = this.#openIds.get(nameOf(first));
    if (requestId === undefined) return null;
    const askers = this.#open.get(requestId) ?? [first];
    this.#openIds.delete(nameOf(first));
    this.#open.delete(requestId);
    return { requestId, askers };
  }
}

/** Numbers of asks are each host's own. */
function nameOf({ host, askId }: AskAddress): string {
  return `${host}:${askId}`;
}
