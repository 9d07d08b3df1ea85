/**
 * Workers that wait for a shard of one dataset, first come first served. `Handle` is what the asker is answered by.
 *
 * A worker has one waiter a request; asking again under it takes the place of the older one, whose asker has stopped
 * listening.
 */

import { requestKey } from "./dataset-progress.js";

export type ShardWaiter<Handle> = Readonly<{
  id: number;
  worker: string;
  node: string;
  request: string;
  handle: Handle;
}>;

export class ShardWaiters<Handle> {
  readonly #waiters = new Map<number, ShardWaiter<Handle>>();
  readonly #requests = new Map<string, number>();
  readonly #workers = new Map<string, Set<number>>();

  get size(): number {
    return this.#waiters.size;
  }

  /** Adds a waiter, and gives back the one whose place it takes. */
  add(waiter: ShardWaiter<Handle>): ShardWaiter<Handle> | null {
    const older = this.#requests.get(requestKey(waiter));
    const replaced = older === undefined ? null : this.remove(older);
    this.#waiters.set(waiter.id, waiter);
    if (waiter.request !== "") this.#requests.set(requestKey(waiter), waiter.id);
    this.#workers.set(waiter.worker, (this.#workers.get(waiter.worker) ?? new Set()).add(waiter.id));
    return replaced;
  }

  first(): ShardWaiter<Handle> | null {
    for (const waiter of this.#waiters.values()) return waiter;
    return null;
  }

  remove(id: number): ShardWaiter<Handle> | null {
    const waiter = this.#waiters.get(id);
    if (waiter === undefined) return null;
    this.#waiters.delete(id);
    this.#requests.delete(requestKey(waiter));
    const ids = this.#workers.get(waiter.worker);
    ids?.delete(id);
    if (ids?.size === 0) this.#workers.delete(waiter.worker);
    return waiter;
  }

  /** Removes and gives back the waiters for which `isMeant` holds. */
  removeWhere(isMeant: (waiter: ShardWaiter<Handle>) => boolean): ShardWaiter<Handle>[] {
    const removed = [...this.#waiters.values()].filter(isMeant);
    for (const { id } of removed) this.remove(id);
    return removed;
  }

  /** Removes and gives back what waits for this worker. */
  removeOf(worker: string): ShardWaiter<Handle>[] {
    return [...(this.#workers.get(worker) ?? [])].flatMap((id) => this.remove(id) ?? []);
  }
}
