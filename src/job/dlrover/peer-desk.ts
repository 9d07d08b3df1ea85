/**
 * The desk at which DLRover's agents and clients are served: each request is answered at once, or held until what it waits for has happened
 * or its time is up. Nothing here is durable: after a restart of the Job Manager the clients ask again.
 */

import type { JobEvent } from "../job-event.js";
import type { Ledger } from "../ledger.js";
import type { AnyDlroverAnswer, DlroverRequest, Sender } from "./dlrover-request.js";
import { HeldRequests } from "./held-requests.js";
import { answerLate, answerPeer, settleWhatIsDue, subjectsOf, worldSubject } from "./peer-answers.js";

/** How the desk answers: what it needs of an actor's context. */
export type Replies<Handle> = Readonly<{
  reply(answer: AnyDlroverAnswer): void;
  deferReply(): Handle;
  answer(handle: Handle, answer: AnyDlroverAnswer): void;
  after(ms: number, key: string, message: Readonly<{ type: "held-deadline"; held: number }>): void;
  cancel(key: string): void;
}>;

export class PeerDesk<Handle> {
  readonly #held = new HeldRequests<Handle>();
  /** What has happened in this batch that somebody may wait for. */
  readonly #wakes = new Set<string>();

  receive(ledger: Ledger, sender: Sender, request: DlroverRequest, replies: Replies<Handle>): void {
    const outcome = answerPeer(ledger, sender, request);
    if ("answer" in outcome) return replies.reply(outcome.answer);
    if (this.#held.isFull) return replies.reply(answerLate(ledger, sender, request));
    const { id } = this.#held.hold(replies.deferReply(), sender, request, outcome.subject);
    replies.after(outcome.waitMs, `held ${id}`, { type: "held-deadline", held: id });
  }

  note(event: JobEvent): void {
    for (const subject of subjectsOf(event)) this.#wakes.add(subject);
  }

  /** `touched`: nodes whose desired state has changed. */
  answerHeld(ledger: Ledger, touched: ReadonlySet<string>, replies: Replies<Handle>): void {
    for (const node of touched) this.#wakes.add(worldSubject(node));
    if (this.#wakes.size === 0) return;
    settleWhatIsDue(ledger, this.#wakes); // What follows from it is noted in time.
    const due = [...this.#wakes].flatMap((subject) => this.#held.waitingFor(subject));
    this.#wakes.clear();
    for (const held of due) {
      const outcome = answerPeer(ledger, held.sender, held.request);
      if ("subject" in outcome) {
        this.#held.turnTo(held, outcome.subject);
        continue;
      }
      this.#held.remove(held);
      replies.cancel(`held ${held.id}`);
      replies.answer(held.handle, outcome.answer);
    }
  }

  meetDeadline(ledger: Ledger, id: number, replies: Replies<Handle>): void {
    const held = this.#held.get(id);
    if (!held) return;
    this.#held.remove(held);
    replies.answer(held.handle, answerLate(ledger, held.sender, held.request));
  }
}
