/**
 * What a job may spend on failures. One budget for the whole job, not one a process: ten nodes that fail once each have spent ten.
 *
 * - B1  Never more is charged than there is.
 * - B2  One failure of the world is charged once, however many ranks die of it.
 */

/** Restarts: ranks start again in place. Relaunches: a node takes the place of one that is gone. */
export type Budget = { readonly maxRestarts: number; readonly maxRelaunches: number; restarts: number; relaunches: number };

export function openBudget(limits: Readonly<{ maxRestarts: number; maxRelaunches: number }>): Budget {
  return { maxRestarts: limits.maxRestarts, maxRelaunches: limits.maxRelaunches, restarts: 0, relaunches: 0 };
}

export function canRestart(budget: Readonly<Budget>): boolean {
  return budget.restarts < budget.maxRestarts;
}

export function canRelaunch(budget: Readonly<Budget>): boolean {
  return budget.relaunches < budget.maxRelaunches;
}
