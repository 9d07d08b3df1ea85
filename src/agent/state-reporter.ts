/**
 * Tells the master how the ranks are, until it has heard the newest state.
 *
 * - E1  What is told is always the whole state, so that one message lost, doubled or overtaken does no harm.
 * - E2  One message is under way at a time; what changed meanwhile goes with the next.
 */

import type { RankReport } from "../job/rank-report.js";

export class StateReporter {
  readonly #reports: () => RankReport[];
  readonly #send: (ranks: readonly RankReport[]) => Promise<boolean>;
  #acknowledged = "[]";
  #running: Promise<void> | null = null;

  /** `send` is true once the master has it, false if it must not be told any more. */
  constructor(reports: () => RankReport[], send: (ranks: readonly RankReport[]) => Promise<boolean>) {
    this.#reports = reports;
    this.#send = send;
  }

  /** Resolves when the master knows the state as it is then. */
  async tell(): Promise<void> {
    this.#running ??= this.#run().finally(() => (this.#running = null));
    await this.#running;
  }

  /** The master was told all of this some other way. */
  acknowledge(ranks: readonly RankReport[]): void {
    this.#acknowledged = JSON.stringify(ranks);
  }

  // E2
  async #run(): Promise<void> {
    for (;;) {
      const ranks = this.#reports(); // E1
      const text = JSON.stringify(ranks);
      if (text === this.#acknowledged) return;
      if (!(await this.#send(ranks))) return;
      this.#acknowledged = text;
    }
  }
}
