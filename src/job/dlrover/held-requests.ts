/**
 * Requests whose answer is put off until something is so, or their time is up: the world of a node, keys of the key-value store.
 *
 * Each waits for one subject at a time ("world worker-0", "key k"), so that what happens wakes those whom it concerns and nobody else. Not
 * durable: after a restart of the Job Manager the clients ask again.
 */

import type { DlroverRequest, Sender } from "./dlrover-request.js";

export type HeldRequest<Handle> = { readonly id: number; readonly handle: Handle; readonly sender: Sender; readonly request: DlroverRequest; subject: string };

/** More are answered at once, with what is known. */
export const heldMax = 65_536;

export class HeldRequests<Handle> {
  #nextId = 1;
  readonly #held = new Map<number, HeldRequest<Handle>>();
  readonly #bySubject = new Map<string, Set<number>>();

  get isFull(): boolean {
    return this.#held.size >= heldMax;
  }

  hold(handle: Handle, sender: Sender, request: DlroverRequest, subject: string): HeldRequest<Handle> {
    const held = { id: this.#nextId++, handle, sender, request, subject };
    this.#held.set(held.id, held);
    this.#index(held);
    return held;
  }

  /** It waits for something else from now on. */
  turnTo(held: HeldRequest<Handle>, subject: string): void {
    this.#unindex(held);
    held.subject = subject;
    this.#index(held);
  }

  /** Null when it was answered. */
  get(id: number): HeldRequest<Handle> | null {
    return this.#held.get(id) ?? null;
  }

  /** Whoever removes it answers it. */
  remove(held: HeldRequest<Handle>): void {
    this.#unindex(held);
    this.#held.delete(held.id);
  }

  waitingFor(subject: string): HeldRequest<Handle>[] {
    return [...(this.#bySubject.get(subject) ?? [])].flatMap((id) => this.#held.get(id) ?? []);
  }

  #index(held: HeldRequest<Handle>): void {
    const ids = this.#bySubject.get(held.subject) ?? new Set();
    this.#bySubject.set(held.subject, ids.add(held.id));
  }

  #unindex(held: HeldRequest<Handle>): void {
    const ids = this.#bySubject.get(held.subject);
    ids?.delete(held.id);
    if (ids?.size === 0) this.#bySubject.delete(held.subject);
  }
}
