/**
 * The asks of one host that wait for an answer: each ends exactly once (R4).
 *
 * Deadlines are kept in one queue a duration: within it they expire in the order in which they were made, so a sweep looks at the heads
 * only, and an ask costs no timer of its own.
 */

import type { AskErrorCode } from "./actor.js";
import type { AskEnvelope, ErrorData } from "./envelope.js";

export type Settle = (outcome: AskResult) => void;

export type AskResult =
  | Readonly<{ ok: true; reply: unknown }>
  | Readonly<{ ok: false; code: AskErrorCode; message: string; error: ErrorData | null }>;

/** One ask that waits. Within a host it travels in the envelope itself, so that it need not be looked up when it is answered. */
export type Waiting = {
  readonly askId: number;
  readonly to: string;
  readonly expiresAtMs: number;
  readonly settle: Settle;
  resend: AskEnvelope | null;
  isSettled: boolean;
};
type Expiry = { waiting: Waiting[]; next: number };

/** How often deadlines are looked at, in milliseconds: an ask ends at most this much after its deadline. */
export const sweepEveryMs = 10;

export class PendingAsks {
  /** Asks that are answered by number: those to other hosts, and those whose answer was put off. */
  readonly #numbered = new Map<number, Waiting>();
  readonly #expiries = new Map<number, Expiry>();
  #lastId = 0;
  #open = 0;
  /** Answers that came after their deadline, or twice. */
  lateAnswers = 0;

  get size(): number {
    return this.#open;
  }

  /** A new ask, with its deadline. */
  open(to: string, nowMs: number, deadlineMs: number, settle: Settle): Waiting {
    const waiting: Waiting = { askId: ++this.#lastId, to, expiresAtMs: nowMs + deadlineMs, settle, resend: null, isSettled: false };
    this.#open++;
    const expiry = this.#expiries.get(deadlineMs);
    if (expiry) expiry.waiting.push(waiting);
    else this.#expiries.set(deadlineMs, { waiting: [waiting], next: 0 });
    return waiting;
  }

  /** From now on the ask can be answered by its number. */
  number(waiting: Waiting): void {
    this.#numbered.set(waiting.askId, waiting);
  }

  settleNumber(askId: number, result: AskResult): void {
    const waiting = this.#numbered.get(askId);
    if (waiting) this.settle(waiting, result);
    else this.lateAnswers++;
  }

  settle(waiting: Waiting, result: AskResult): void {
    if (waiting.isSettled) {
      this.lateAnswers++;
      return;
    }
    waiting.isSettled = true;
    this.#open--;
    this.#numbered.delete(waiting.askId);
    waiting.settle(result);
  }

  /** Ends what is overdue. True while anything waits. */
  sweep(nowMs: number): boolean {
    for (const [deadlineMs, expiry] of this.#expiries) {
      for (; expiry.next < expiry.waiting.length; expiry.next++) {
        const head = expiry.waiting[expiry.next];
        if (!head || head.isSettled) continue;
        if (head.expiresAtMs > nowMs) break;
        const message = `${head.to} did not answer within ${deadlineMs} ms`;
        this.settle(head, { ok: false, code: "DEADLINE_EXCEEDED", message, error: null });
      }
      if (expiry.next === expiry.waiting.length) this.#expiries.delete(deadlineMs);
      else if (expiry.next > 4_096) this.#expiries.set(deadlineMs, { waiting: expiry.waiting.slice(expiry.next), next: 0 });
    }
    return this.#open > 0;
  }

  /** These actors lost their mailboxes: idempotent asks are given back to be sent again, the others fail. */
  lose(to: ReadonlySet<string>, code: AskErrorCode, message: string): AskEnvelope[] {
    const again: AskEnvelope[] = [];
    for (const waiting of this.#unsettled()) {
      if (!to.has(waiting.to)) continue;
      if (waiting.resend && code === "ACTOR_RESTARTED") again.push(waiting.resend);
      else this.settle(waiting, { ok: false, code, message, error: null });
    }
    return again;
  }

  /** Ends everything. */
  close(): void {
    for (const waiting of this.#unsettled()) {
      this.settle(waiting, { ok: false, code: "SYSTEM_CLOSED", message: "the actor system is closed", error: null });
    }
  }

  #unsettled(): Waiting[] {
    return [...this.#expiries.values()].flatMap(({ waiting, next }) => waiting.slice(next)).filter(({ isSettled }) => !isSettled);
  }
}
