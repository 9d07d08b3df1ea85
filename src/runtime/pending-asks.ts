/**
 * The asks of one host that wait for an answer: each ends exactly once (R4).
 *
 * Deadlines are kept in one queue a duration: within it they expire in the order in which they were made, so a sweep looks at the heads
 * only, and an ask costs no timer of its own. A queue holds at most a thousand and twice as many asks as are open in it, settled ones included.
 */

import type { AskErrorCode } from "./actor.js";
import type { AskEnvelope, ErrorData } from "./envelope.js";

export type Settle = (result: AskResult) => void;

export type AskResult =
  | Readonly<{ ok: true; reply: unknown }>
  | Readonly<{ ok: false; code: AskErrorCode; message: string; error: ErrorData | null }>;

/** One ask that waits. Within a host it travels in the envelope itself, so that it need not be looked up when it is answered. */
export type Waiting = {
  readonly askId: number;
  readonly to: string;
  readonly expiresAtMs: number;
  readonly settle: Settle;
  readonly queue: Queue;
  resend: AskEnvelope | null;
  resends: number;
  isNumbered: boolean;
  isSettled: boolean;
};
type Queue = { readonly deadlineMs: number; waiting: Waiting[]; next: number; open: number };

/** Deadlines are looked at this often at most, in milliseconds: an ask ends at most this much after its deadline. */
export const sweepEveryMs = 10;

/** How often an idempotent ask is sent again, at most: it may be what ends the actor. */
export const resendsMax = 5;

/** Settled asks that a queue may hold beside its open ones. */
const settledMax = 1_024;

export class PendingAsks {
  /** Asks that are answered by number: those to other hosts, and those whose answer was put off. */
  readonly #numbered = new Map<number, Waiting>();
  readonly #queues = new Map<number, Queue>();
  #lastId = 0;
  #open = 0;
  /** Answers that came after their deadline, or twice. */
  lateAnswers = 0;

  get size(): number {
    return this.#open;
  }

  /** A new ask, with its deadline. */
  open(to: string, nowMs: number, deadlineMs: number, settle: Settle): Waiting {
    let queue = this.#queues.get(deadlineMs);
    if (!queue) this.#queues.set(deadlineMs, (queue = { deadlineMs, waiting: [], next: 0, open: 0 }));
    if (queue.waiting.length > 2 * queue.open + settledMax) forgetSettled(queue);
    const askId = ++this.#lastId;
    const expiresAtMs = nowMs + deadlineMs;
    const waiting: Waiting = { askId, to, expiresAtMs, settle, queue, resend: null, resends: 0, isNumbered: false, isSettled: false };
    queue.waiting.push(waiting);
    queue.open++;
    this.#open++;
    return waiting;
  }

  /** From now on the ask can be answered by its number. */
  number(waiting: Waiting): void {
    waiting.isNumbered = true;
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
    if (waiting.isNumbered) this.#numbered.delete(waiting.askId);
    waiting.resend = null;
    waiting.queue.open--;
    this.#open--;
    waiting.settle(result);
  }

  /** Ends what is overdue. Gives when the next ask may be, or null when none waits. */
  sweep(nowMs: number): number | null {
    let dueAtMs: number | null = null;
    for (const [deadlineMs, queue] of this.#queues) {
      for (let head = headOf(queue); head; head = headOf(queue)) {
        if (head.expiresAtMs > nowMs) {
          dueAtMs = Math.min(dueAtMs ?? head.expiresAtMs, head.expiresAtMs);
          break;
        }
        const message = `${head.to} did not answer within ${deadlineMs} ms`;
        this.settle(head, { ok: false, code: "DEADLINE_EXCEEDED", message, error: null });
      }
      if (queue.open === 0) this.#queues.delete(deadlineMs);
    }
    return dueAtMs;
  }

  /** These actors lost their mailboxes: idempotent asks are given back to be sent again, the others fail. */
  lose(to: ReadonlySet<string>, code: AskErrorCode, message: string): AskEnvelope[] {
    const again: AskEnvelope[] = [];
    for (const waiting of this.#unsettled()) {
      if (!to.has(waiting.to)) continue;
      if (waiting.resend && code === "ACTOR_RESTARTED" && waiting.resends++ < resendsMax) again.push(waiting.resend);
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
    return [...this.#queues.values()].flatMap(({ waiting, next }) => waiting.slice(next)).filter(({ isSettled }) => !isSettled);
  }
}

/** The oldest ask that waits. */
function headOf(queue: Queue): Waiting | undefined {
  while (queue.waiting[queue.next]?.isSettled === true) queue.next++;
  return queue.waiting[queue.next];
}

function forgetSettled(queue: Queue): void {
  queue.waiting = queue.waiting.filter(({ isSettled }) => !isSettled);
  queue.next = 0;
}
