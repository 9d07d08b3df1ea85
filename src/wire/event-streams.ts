/**
 * The job's history for those who read it: pages, and streams of server-sent events. Owns the reader of the state file.
 *
 * - E1  A stream gives every event behind its position once and in order, whatever becomes of the writer.
 * - E2  A slow client is waited for; nothing is kept for it in memory, and others are not held up: the event loop has its turn every
 *       `eventsPerTurn` events.
 */

import type { ServerResponse } from "node:http";
import { setImmediate as nextTurn } from "node:timers/promises";
import type { HistoryEvent, HistoryFilter, HistoryQuery } from "../store/journal-messages.js";
import { JournalReader } from "../store/journal-reader.js";
import { eventJson } from "./event-json.js";
import { HttpError } from "./http-error.js";
import { eventText } from "./sse-text.js";

/** Streams that may be open at once; more are refused with `TOO_MANY_STREAMS`. */
export const streamsMax = 256;
/** A comment is sent this often, so that a dead connection is noticed. */
const keepAliveMs = 15_000;
/** Without the State Backend's word that there is something new, the file is looked at this often. */
const pollMs = 1_000;
const eventsPerTurn = 200;

export type OpenStream = Readonly<{ serve: (response: ServerResponse) => Promise<void> }>;

export class EventStreams {
  readonly #statePath: string;
  #reader: JournalReader | null = null;
  readonly #open = new Set<AbortController>();

  constructor(statePath: string) {
    this.#statePath = statePath;
  }

  get count(): number {
    return this.#open.size;
  }

  /** Throws `BoundaryError`: HISTORY_QUERY, STATE_NOT_FOUND while there is no state file, and what else reading it may. */
  page(query: HistoryQuery): HistoryEvent[] {
    return this.#readerNow().read(query);
  }

  /** Position of the newest event; null while there is no state file. */
  headCommitSeq(): number | null {
    return this.#reader?.headCommitSeq() ?? null;
  }

  /** New events can be read. */
  wake(): void {
    this.#reader?.wake();
  }

  /** A stream of the events behind `after`; what refuses it is thrown before a byte is sent. */
  open(after: number, filter: HistoryFilter): OpenStream {
    if (this.#open.size >= streamsMax) {
      throw new HttpError("TOO_MANY_STREAMS", `${streamsMax} event streams are open already`, { hint: "Close one, or ask for pages." });
    }
    const reader = this.#readerNow();
    reader.read({ ...filter, limit: 1, order: "oldest-first", afterCommitSeq: after });
    const over = new AbortController();
    this.#open.add(over);
    return { serve: (response) => this.#serve(response, over, reader.follow({ afterCommitSeq: after, pollMs, signal: over.signal, ...filter })) };
  }

  async #serve(response: ServerResponse, over: AbortController, events: AsyncIterable<HistoryEvent>): Promise<void> {
    response.on("close", () => over.abort());
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(": drover\n\n");
    const keepAlive = setInterval(() => response.write(": \n\n"), keepAliveMs);
    let count = 0;
    try {
      for await (const event of events) {
        const isRoomLeft = response.write(eventText(event.commitSeq, event.type, eventJson(event)));
        if (!isRoomLeft) await drained(response, over.signal); // E2
        else if (++count % eventsPerTurn === 0) await nextTurn();
      }
    } finally {
      clearInterval(keepAlive);
      this.#open.delete(over);
      response.end();
    }
  }

  close(): void {
    for (const over of this.#open) over.abort();
    this.#reader?.close();
    this.#reader = null;
  }

  #readerNow(): JournalReader {
    this.#reader ??= new JournalReader(this.#statePath);
    return this.#reader;
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const over = (): void => {
      response.off("drain", over);
      signal.removeEventListener("abort", over);
      resolve();
    };
    response.once("drain", over);
    signal.addEventListener("abort", over);
    if (signal.aborted) over();
  });
}
