/** Looks after the living ranks at a steady pace: progress, use of the host, size of their output. Tells of it at most 5 times a second. */

import type { JobSpec } from "../job/job-spec.js";
import type { RankProgress } from "../job/rank-report.js";
import { rotateIfLarge } from "./log-rotation.js";
import { ProgressWatch } from "./progress-watch.js";
import type { KnownRank } from "./rank-book.js";

const lookEveryMs = 200;
const measureEveryLooks = 5;

export class RankMonitor {
  readonly #logs: JobSpec["logs"];
  readonly #onProgress: (ranks: readonly RankProgress[]) => void;
  readonly #onProblem: (problem: string) => void;
  /** Without news of a step the master is told of usage this often. */
  readonly #quietLooks: number;
  readonly #watches = new Map<string, { rank: KnownRank; watch: ProgressWatch }>();
  #timer: NodeJS.Timeout | null = null;
  #looks = 0;
  #quiet = 0;
  #isRotating = false;

  constructor(
    logs: JobSpec["logs"],
    quietMs: number,
    onProgress: (ranks: readonly RankProgress[]) => void,
    onProblem: (problem: string) => void,
  ) {
    this.#logs = logs;
    this.#quietLooks = Math.max(1, Math.round(quietMs / lookEveryMs));
    this.#onProgress = onProgress;
    this.#onProblem = onProblem;
  }

  /** These ranks live now; of one that ended meanwhile the last progress is told. */
  follow(living: readonly KnownRank[]): void {
    const tokens = new Set(living.map(({ token }) => token));
    const ended = [...this.#watches.keys()].filter((token) => !tokens.has(token));
    if (ended.length > 0) this.#look();
    for (const token of ended) {
      this.#watches.get(token)?.watch.close();
      this.#watches.delete(token);
    }
    for (const rank of living) {
      if (!this.#watches.has(rank.token)) this.#watches.set(rank.token, { rank, watch: new ProgressWatch(rank, Date.now()) });
    }
    if (living.length > 0) this.#timer ??= setInterval(() => this.#look(), lookEveryMs);
    else this.close();
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
    for (const { watch } of this.#watches.values()) watch.close();
    this.#watches.clear();
  }

  #look(): void {
    const nowMs = Date.now();
    this.#looks += 1;
    this.#quiet += 1;
    const watches = [...this.#watches.values()].map(({ watch }) => watch);
    if (this.#looks % measureEveryLooks === 0) {
      for (const watch of watches) watch.measure(nowMs);
      void this.#rotate();
    }
    const hasNews = watches.map((watch) => watch.look(nowMs)).includes(true);
    if (!hasNews && this.#quiet < this.#quietLooks) return;
    this.#quiet = 0;
    this.#onProgress(watches.map((watch) => watch.progress()));
  }

  async #rotate(): Promise<void> {
    if (this.#isRotating) return;
    this.#isRotating = true;
    try {
      for (const { rank } of [...this.#watches.values()]) {
        for (const path of [rank.files.stdout, rank.files.stderr]) await rotateIfLarge(path, this.#logs.bytesMax, this.#logs.filesMax);
      }
    } catch (error) {
      this.#onProblem(`output cannot be rotated: ${error instanceof Error ? error.message : String(error)}`);
    } finally {
      this.#isRotating = false;
    }
  }
}
