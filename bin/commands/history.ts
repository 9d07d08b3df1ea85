/** drover logs and drover events: what the ranks printed, and what was decided and why. */

import { once } from "node:events";
import { setTimeout as delay } from "node:timers/promises";
import { jobFiles } from "../../src/launch/job-folder.js";
import type { HistoryEvent } from "../../src/store/journal-messages.js";
import { JournalReader } from "../../src/store/journal-reader.js";
import { eventJson } from "../../src/wire/event-json.js";
import { lineOf } from "../event-text.js";
import { findJob, specOf, stateOf } from "../jobs.js";
import { LogTail } from "../log-tail.js";
import { prefixed } from "../screen.js";

type LogOptions = Readonly<{ follow?: boolean; rank?: string; json?: boolean }>;

const lookEveryMs = 100;

export async function logs(name: string | undefined, options: LogOptions): Promise<number> {
  const job = findJob(name);
  const wanted = options.rank?.split(",").map(Number);
  const tail = new LogTail(specOf(job.dir).logs.dir, (source) => wanted === undefined || ("rank" in source && wanted.includes(source.rank)));
  for (;;) {
    const isOver = options.follow !== true || stateOf(job.dir) !== "live";
    for (const line of tail.read(isOver)) {
      const { source, ...rest } = line;
      process.stdout.write(`${options.json === true ? JSON.stringify({ ...source, ...rest }) : prefixed(line)}\n`);
    }
    if (isOver) return 0;
    await delay(lookEveryMs);
  }
}

type EventOptions = Readonly<{ follow?: boolean; actor?: string; type?: string; why?: string; json?: boolean }>;

export async function events(name: string | undefined, options: EventOptions): Promise<number> {
  const job = findJob(name);
  const reader = new JournalReader(jobFiles(job.dir).state);
  const print = (event: HistoryEvent): void => void process.stdout.write(`${options.json === true ? eventJson(event) : lineOf(event)}\n`);
  const filter = {
    ...(options.actor === undefined ? {} : { actor: options.actor }),
    ...(options.type === undefined ? {} : { types: options.type.split(",") }),
  };
  try {
    let last = 0;
    for (;;) {
      const isOver = options.follow !== true || stateOf(job.dir) !== "live";
      const page = reader.read({ order: "oldest-first", afterCommitSeq: last, ...filter });
      page.forEach(print);
      if (process.stdout.writableNeedDrain) await once(process.stdout, "drain");
      last = page.at(-1)?.commitSeq ?? last;
      if (page.length > 0) continue;
      if (isOver) return 0;
      await delay(lookEveryMs);
    }
  } finally {
    reader.close();
  }
}
