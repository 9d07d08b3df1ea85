/**
 * The journal of a threaded system as a host sees it: the State Backend actor, asked.
 *
 * All that the actors of this host write in one turn goes as one message, already encoded: the State Backend passes it
 * on to its file without looking into it. A message may be delivered twice; appends are idempotent.
 */

import { BoundaryError } from "../base/errors.js";
import {
  decodeHistory,
  encodeAppend,
  encodeSnapshot,
  type Operation,
  packOperations,
  unpackHistory,
} from "../store/encoded.js";
import type { ActorHistory, Journal, StoredEvent, StoredSnapshot } from "../store/journal.js";
import type { JournalMessage, JournalOutcome } from "../store/journal-messages.js";
import type { ReplyTo } from "./actor.js";

type Sent<Type extends JournalMessage["type"]> = Extract<JournalMessage, { type: Type }>;
type Waiting = Readonly<{ operation: Operation; settle: () => void; fail: (error: Error) => void }>;

export class ActorJournal implements Journal {
  readonly #actor: string;
  readonly #ask: (message: JournalMessage) => Promise<unknown>;
  #waiting: Waiting[] = [];

  constructor(actor: string, ask: (message: JournalMessage) => Promise<unknown>) {
    this.#actor = actor;
    this.#ask = ask;
  }

  async load(actor: string): Promise<ActorHistory> {
    this.#flush();
    const reply = (await this.#ask({ type: "load", actor })) as ReplyTo<Sent<"load">>;
    if (!reply.ok) throw this.#refused(reply);
    return decodeHistory(unpackHistory(reply.frame));
  }

  append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    return new Promise((settle, fail) => {
      this.#write({ operation: encodeAppend(actor, events), settle, fail });
    });
  }

  saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void> {
    return new Promise((settle, fail) => {
      this.#write({ operation: encodeSnapshot(actor, snapshot), settle, fail });
    });
  }

  #write(waiting: Waiting): void {
    if (this.#waiting.push(waiting) === 1) queueMicrotask(() => this.#flush());
  }

  #flush(): void {
    const group = this.#waiting;
    if (group.length === 0) return;
    this.#waiting = [];
    const frame = packOperations(group.map(({ operation }) => operation));
    this.#ask({ type: "write", frame }).then(
      (reply) => this.#settle(group, (reply as ReplyTo<Sent<"write">>).outcomes),
      (thrown: unknown) => {
        for (const { fail } of group) fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
      },
    );
  }

  #settle(group: readonly Waiting[], outcomes: readonly JournalOutcome[] | null): void {
    group.forEach(({ settle, fail }, index) => {
      const outcome = outcomes?.[index];
      if (outcome === undefined || outcome.ok) settle();
      else fail(this.#refused(outcome));
    });
  }

  #refused({ code, message }: Readonly<{ code: string; message: string }>): BoundaryError {
    return new BoundaryError(code, `${this.#actor}: ${message}`);
  }
}
