/** The journal of a threaded system as a host sees it: the State Backend actor, asked. Appends may be delivered twice; it knows them again. */

import type { ActorHistory, Journal, StoredEvent, StoredSnapshot } from "../store/journal.js";
import type { Typed } from "./actor.js";

type Refusal = Readonly<{ ok: false; code: string; message: string }>;

export class ActorJournal implements Journal {
  readonly #actor: string;
  readonly #ask: (message: Typed) => Promise<unknown>;

  constructor(actor: string, ask: (message: Typed) => Promise<unknown>) {
    this.#actor = actor;
    this.#ask = ask;
  }

  async load(actor: string): Promise<ActorHistory> {
    return (await this.#said({ type: "load", actor } as Typed)) as ActorHistory;
  }

  async append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    await this.#said({ type: "append", actor, events } as Typed);
  }

  async saveSnapshot(actor: string, snapshot: StoredSnapshot): Promise<void> {
    await this.#said({ type: "save-snapshot", actor, snapshot } as Typed);
  }

  async #said(message: Typed): Promise<unknown> {
    const reply = await this.#ask(message);
    if (!isRefusal(reply)) return reply;
    throw Object.assign(new Error(`${this.#actor} refused ${message.type}: ${reply.message}`), { code: reply.code });
  }
}

function isRefusal(reply: unknown): reply is Refusal {
  return typeof reply === "object" && reply !== null && "ok" in reply && reply.ok === false;
}
