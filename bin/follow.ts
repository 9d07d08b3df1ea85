/**
 * Follows a job in the foreground until it has ended: its events, the output of its ranks, its live block; Ctrl-C.
 *
 * It only looks: the job goes on without it. Once Ctrl-C asks the master to stop the job well; twice ends everything at once.
 */

import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { BoundaryError } from "../src/base/errors.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { jobFiles } from "../src/launch/job-folder.js";
import { sweepJob } from "../src/launch/process-sweep.js";
import type { HistoryEvent } from "../src/store/journal-messages.js";
import { JournalReader } from "../src/store/journal-reader.js";
import { JobClient } from "../src/wire/client.js";
import type { JobStatus } from "../src/wire/job-status.js";
import { sentenceOf, spokenTypes } from "./event-text.js";
import { finalOf } from "./jobs.js";
import { LifeWatch } from "./life-watch.js";
import { liveBlock } from "./live-block.js";
import { LogTail } from "./log-tail.js";
import type { ScreenChoice } from "./run-options.js";
import type { Screen } from "./screen.js";

const lookEveryMs = 50;
const blockEveryMs = 500;
const pageMax = 1_000;

/** How a followed job came to its end. */
export type Followed = Readonly<{ status: JobStatus; isInterrupted: boolean }>;

export class Follower {
  readonly #spec: JobSpec;
  readonly #dir: string;
  readonly #screen: Screen;
  readonly #choice: ScreenChoice;
  readonly #tail: LogTail;
  readonly #client: JobClient;
  readonly #startedAtMs = performance.now();
  #reader: JournalReader | null = null;
  #lastCommitSeq = 0;
  #interrupts = 0;
  #shownAtMs = 0;
  #isAsking = false;

  constructor(spec: JobSpec, dir: string, screen: Screen, choice: ScreenChoice) {
    this.#spec = spec;
    this.#dir = dir;
    this.#screen = screen;
    this.#choice = choice;
    this.#tail = new LogTail(spec.logs.dir);
    this.#client = new JobClient(dir, { patienceMs: 1_000 });
  }

  /** Shows nothing of what has been. @throws BoundaryError STATE_DAMAGED and its like where that cannot even be read */
  skipPast(): void {
    this.#tail.read(true);
    if (!existsSync(jobFiles(this.#dir).state)) return;
    this.#reader = new JournalReader(jobFiles(this.#dir).state);
    this.#reader.check();
    this.#lastCommitSeq = this.#reader.headCommitSeq();
  }

  /** Until the job has ended. @throws BoundaryError JOB_DOWN when neither master nor watchdog is left */
  async toTheEnd(): Promise<Followed> {
    const life = new LifeWatch(this.#dir);
    const interrupt = (): void => this.#interrupt();
    process.on("SIGINT", interrupt);
    process.on("SIGTERM", interrupt);
    try {
      for (;;) {
        const final = finalOf(this.#dir);
        this.#look(final !== null);
        if (final && process.stdout.isTTY) this.#screen.show(liveBlock(final.job, performance.now() - this.#startedAtMs));
        if (final) return { status: final.job, isInterrupted: this.#interrupts > 0 };
        this.#showBlock();
        life.mustLive();
        await delay(lookEveryMs);
      }
    } finally {
      process.off("SIGINT", interrupt);
      process.off("SIGTERM", interrupt);
      this.#reader?.close();
      this.#screen.end();
    }
  }

  #look(isLast: boolean): void {
    for (const event of this.#events()) {
      const { type: name, ...rest } = event;
      this.#screen.record("event", { name, ...rest });
      const sentence = sentenceOf(event);
      if (sentence !== null) this.#screen.say(sentence);
    }
    const { nprocPerNode } = this.#spec.roles[0] ?? { nprocPerNode: 1 };
    for (const line of this.#tail.read(isLast)) {
      const { source } = line;
      if ("node" in source || this.#choice.isShown(source.rank % nprocPerNode, line.stream)) this.#screen.outputLine(line);
    }
  }

  #events(): HistoryEvent[] {
    if (!this.#reader) {
      if (!existsSync(jobFiles(this.#dir).state)) return [];
      try {
        this.#reader = new JournalReader(jobFiles(this.#dir).state);
      } catch (error) {
        if (error instanceof BoundaryError) return []; // The file is being made; the master says what is wrong with one that stays so.
        throw error;
      }
    }
    const head = this.#reader.headCommitSeq();
    const filter = this.#screen.takesRecords ? {} : { types: spokenTypes };
    const events = this.#reader.read({ order: "oldest-first", afterCommitSeq: this.#lastCommitSeq, limit: pageMax, ...filter });
    this.#lastCommitSeq = events.length < pageMax ? Math.max(head, events.at(-1)?.commitSeq ?? 0) : (events.at(-1)?.commitSeq ?? 0);
    return events;
  }

  #showBlock(): void {
    const nowMs = performance.now();
    if (this.#isAsking || nowMs - this.#shownAtMs < blockEveryMs || !process.stdout.isTTY) return;
    this.#isAsking = true;
    this.#shownAtMs = nowMs;
    this.#client
      .status()
      .then((status) => this.#screen.show(liveBlock(status, nowMs - this.#startedAtMs)))
      .catch(() => undefined) // The master is away; the block stays as it was.
      .finally(() => (this.#isAsking = false));
  }

  #interrupt(): void {
    this.#interrupts++;
    if (this.#interrupts === 1) {
      this.#screen.say(`Stopping (grace ${this.#spec.stopGraceMs / 1_000} s). Once more to end it at once.`);
      this.#client.stop("interrupted", false).catch((error: unknown) => this.#screen.say(`could not stop it: ${String(error)}`));
    } else if (this.#interrupts === 2) {
      this.#screen.say("Ending it at once.");
      this.#client.stop("interrupted twice", true).catch(() => sweepJob(this.#dir));
    }
  }
}
