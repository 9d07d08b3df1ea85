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

type Waiting = { askId: number; to: string; expiresAtMs: number; settle: Settle; resend: AskEnvelope | null };
type Expiry = { waiting: Waiting[]; next: number };

/** How often deadlines are looked at, in milliseconds: an ask ends at most this much after its deadline. */
export const sweepEveryMs = 10;

export class PendingAsks {
  readonly #waiting = new Map<number, Waiting>();
  readonly #expiries = new Map<number, Expiry>();
  #lastId = 0;
  /** Answers that came after their deadline, or twice. */
  lateAnswers = 0;

  get size(): number {
    return this.#waiting.size;
  }

  nextId(): number {
    return ++this.#lastId;
  }

  /** `resend` is kept when the ask may be delivered again. */
  add(askId: number, to: string, nowMs: number, deadlineMs: number, settle: Settle, resend: AskEnvelope | null): void {
    const waiting: Waiting = { askId, to, expiresAtMs: nowMs + deadlineMs, settle, resend };
    this.#waiting.set(askId, waiting);
    const expiry = this.#expiries.get(deadlineMs);
    if (expiry) expiry.waiting.push(waiting);
    else this.#expiries.set(deadlineMs, { waiting: [waiting], next: 0 });
  }

  settle(askId: number, result: AskResult): void {
    const waiting = this.#waiting.get(askId);
    if (!waiting) {
      this.lateAnswers++;
      return;
    }
    this.#waiting.delete(askId);
    waiting.settle(result);
  }

  /** Ends what is overdue. True while anything waits. */
  sweep(nowMs: number): boolean {
    for (const [deadlineMs, expiry] of this.#expiries) {
      for (; expiry.next < expiry.waiting.length; expiry.next++) {
        const head = expiry.waiting[expiry.next];
        if (!head) break;
        if (!this.#waiting.has(head.askId)) continue;
        if (head.expiresAtMs > nowMs) break;
        const message = `${head.to} did not answer within ${deadlineMs} ms`;
        this.settle(head.askId, { ok: false, code: "DEADLINE_EXCEEDED", message, error: null });
      }
      if (expiry.next === expiry.waiting.length) this.#expiries.delete(deadlineMs);
      else if (expiry.next > 4_096) this.#expiries.set(deadlineMs, { waiting: expiry.waiting.slice(expiry.next), next: 0 });
    }
    return this.#waiting.size > 0;
  }

  /** The actor behind `to` lost its mailbox: idempotent asks are given back to be sent again, the others fail. */
  lose(to: ReadonlySet<string>, code: AskErrorCode, message: string): AskEnvelope[] {
    const again: AskEnvelope[] = [];
    for (const waiting of [...this.#waiting.values()]) {
      if (!to.has(waiting.to)) continue;
      if (waiting.resend && code === "ACTOR_RESTARTED") again.push(waiting.resend);
      else this.settle(waiting.askId, { ok: false, code, message, error: null });
    }
    return again;
  }

  /** Ends everything. */
  close(): void {
    for (const askId of [...this.#waiting.keys()]) {
      this.settle(askId, { ok: false, code: "SYSTEM_CLOSED", message: "the actor system is closed", error: null });
    }
  }
}
