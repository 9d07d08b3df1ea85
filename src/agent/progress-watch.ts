/**
 * The progress of one rank: from its progress file where it writes one, else from what it prints; and what it uses of the host.
 */

import type { RankProgress } from "../job/rank-report.js";
import { FileTail } from "./file-tail.js";
import { type ProgressNews, progressOfJson, progressOfText } from "./progress-line.js";
import type { KnownRank } from "./rank-book.js";
import { UsageMeter } from "./process-usage.js";

/** An agent that takes over reads so much of what was printed before. */
const backBytes = 64 * 1024;

export class ProgressWatch {
  readonly #rank: KnownRank;
  readonly #file: FileTail;
  readonly #printed: readonly FileTail[];
  readonly #usage: UsageMeter;
  #hasFile = false;
  #newest: ProgressNews = { step: null, loss: null, samples: null, checkpointStep: null };
  #atMs: number;

  constructor(rank: KnownRank, nowMs: number) {
    this.#rank = rank;
    this.#file = new FileTail(rank.files.progress, Number.MAX_SAFE_INTEGER);
    this.#printed = [rank.files.stdout, rank.files.stderr].map((path) => new FileTail(path, backBytes));
    this.#usage = new UsageMeter(rank.pid, nowMs);
    this.#atMs = nowMs;
  }

  /** Looks for news; true if there were any. */
  look(nowMs: number): boolean {
    const told = this.#file.lines().flatMap((line) => progressOfJson(line) ?? []);
    this.#hasFile ||= told.length > 0;
    const printed = this.#printed.flatMap((tail) => tail.lines());
    const news = this.#hasFile ? told : printed.flatMap((line) => progressOfText(line) ?? []);
    for (const { step, loss, samples, checkpointStep } of news) {
      this.#newest = {
        step: step ?? this.#newest.step,
        loss: loss ?? this.#newest.loss,
        samples: samples === null ? this.#newest.samples : samples + (this.#newest.samples ?? 0),
        checkpointStep: checkpointStep ?? this.#newest.checkpointStep,
      };
    }
    if (news.some(({ step }) => step !== null)) this.#atMs = nowMs;
    return news.length > 0;
  }

  measure(nowMs: number): void {
    this.#usage.measure(nowMs);
  }

  progress(): RankProgress {
    const { rank, localRank, round } = this.#rank;
    return { rank, localRank, round, ...this.#newest, ...this.#usage.usage, atMs: this.#atMs };
  }

  close(): void {
    this.#file.close();
    for (const tail of this.#printed) tail.close();
  }
}
