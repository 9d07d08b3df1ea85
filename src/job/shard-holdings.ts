/**
 * Who holds which tasks, over all datasets: finds what a lost node or worker held without looking at anything else.
 * Follows from the leases.
 */
export class ShardHoldings {
  /** Node, worker, task, dataset. */
  readonly #nodes = new Map<string, Map<string, Map<number, string>>>();

  add(node: string, worker: string, taskId: number, dataset: string): void {
    const workers = this.#nodes.get(node) ?? new Map<string, Map<number, string>>();
    const tasks = workers.get(worker) ?? new Map<number, string>();
    this.#nodes.set(node, workers.set(worker, tasks.set(taskId, dataset)));
  }

  remove(node: string, worker: string, taskId: number): void {
    const workers = this.#nodes.get(node);
    const tasks = workers?.get(worker);
    if (workers === undefined || !tasks?.delete(taskId) || tasks.size > 0) return;
    workers.delete(worker);
    if (workers.size === 0) this.#nodes.delete(node);
  }

  /** Tasks of the node's workers that are meant, with their datasets. */
  tasksOf(node: string, worker: string | null): (readonly [taskId: number, dataset: string])[] {
    const found: (readonly [number, string])[] = [];
    for (const [name, tasks] of this.#nodes.get(node) ?? []) {
      if (isWorkerMeant(worker, name)) found.push(...tasks);
    }
    return found;
  }
}

/**
 * Whether `return-shards` for `worker` means the one of this name: all (`null`), the very one, or one below it
 * (`worker/…`).
 */
export function isWorkerMeant(worker: string | null, name: string): boolean {
  return worker === null || name === worker || name.startsWith(`${worker}/`);
}
