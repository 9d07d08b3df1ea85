/**
 * The memory of answered requests of one actor (R6): a retried request gets the answer that it had, and does not act twice.
 *
 * Bounded: the oldest answer is forgotten first. A durable actor keeps its answers in the journal beside its events.
 */

/** Answers that an actor remembers. A request retried later than that many others acts again. */
export const answersMax = 4_096;

/** The event by which a durable actor remembers an answer; never handed to `apply`. */
export type AnsweredEvent = Readonly<{ type: "$answered"; requestId: string; reply: unknown }>;

export class Answered {
  readonly #replies = new Map<string, unknown>();

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
}
