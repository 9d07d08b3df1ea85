/**
 * Requests of agents that wait for their node's desired state to change: at most one a node, a newer one takes the older one's place.
 * Not durable: after a restart of the Job Manager the agents ask again.
 */

export type Poll<Handle> = Readonly<{ handle: Handle; agentId: string; revision: number }>;

export class DesiredPolls<Handle> {
  readonly #polls = new Map<string, Poll<Handle>>();

  /** The poll that this one replaces, to be answered. */
  put(node: string, poll: Poll<Handle>): Poll<Handle> | null {
    const former = this.#polls.get(node) ?? null;
    this.#polls.set(node, poll);
    return former;
  }

  /** Takes the poll out; whoever takes it answers it. */
  take(node: string): Poll<Handle> | null {
    const poll = this.#polls.get(node) ?? null;
    this.#polls.delete(node);
    return poll;
  }

  get(node: string): Poll<Handle> | null {
    return this.#polls.get(node) ?? null;
  }
}
