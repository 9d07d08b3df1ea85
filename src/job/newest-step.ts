/** The newest step of the trainers: written down at most once a second, for a round's first, and when a round may end. */

import { goodputStep } from "./goodput.js";
import { trainers } from "./job-record.js";
import type { Ledger } from "./ledger.js";

const everyMs = 1_000;

export class NewestStep {
  #unwritten: Readonly<{ round: number; step: number; atMs: number }> | null = null;
  #writtenAtMs = 0;

  /** A trainer was seen at this step of this round. */
  see(round: number, step: number, nowMs: number): void {
    if (this.#unwritten?.round !== round || step > this.#unwritten.step) this.#unwritten = { round, step, atMs: nowMs };
  }

  /** Writes it down if it is time. */
  writeIfDue(ledger: Ledger): void {
    const isFirst = ledger.job.goodput.live?.round !== ledger.job.groups.get(trainers)?.round;
    if (isFirst || ledger.nowMs - this.#writtenAtMs >= everyMs) this.write(ledger);
  }

  /** Writes it down, if it is not yet. */
  write(ledger: Ledger): void {
    const step = this.#unwritten;
    const { job } = ledger;
    if (!step || job.end) return;
    this.#unwritten = null;
    if (step.round !== job.groups.get(trainers)?.round || goodputStep(job.goodput, step.round) === step.step) return;
    this.#writtenAtMs = ledger.nowMs;
    ledger.emit({ type: "step-noted", group: trainers, ...step });
  }
}
