/** The history of the job: pages of events, and the stream of those to come (server-sent events). */

import type { ServerResponse } from "node:http";
import { BoundaryError } from "../base/errors.js";
import type { HistoryEvent } from "../store/journal-messages.js";
import { JournalReader } from "../store/journal-reader.js";
import { HttpError } from "./http-error.js";
import { eventsQuery } from "./job-api.js";
import { type Route, route } from "./route.js";

/** Streams that may be open at once; more are refused with `RATE_LIMITED`. */
const streamsMax = 256;
/** A comment is sent this often, so that a dead connection is noticed. */
const keepAliveMs = 15_000;

type Filter = Readonly<{ actor?: string; types?: string[] }>;

export class EventStreams {
  readonly #statePath: string;
  #reader: JournalReader | null = null;
  readonly #open = new Set<AbortController>();

  constructor(statePath: string) {
    this.#statePath = statePath;
  }

  get reader(): JournalReader {
    this.#reader ??= new JournalReader(this.#statePath);
    return this.#reader;
  }

  /** New events can be read. */
  wake(): void {
    this.#reader?.wake();
  }

  /** Writes events as they come until the client is gone. */
  async serve(response: ServerResponse, after: number, filter: Filter): Promise<void> {
    if (this.#open.size >= streamsMax) throw new HttpError("RATE_LIMITED", `${streamsMax} event streams are open already`);
    const over = new AbortController();
    this.#open.add(over);
    response.on("close", () => over.abort());
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(": drover\n\n");
    const keepAlive = setInterval(() => response.write(": \n\n"), keepAliveMs);
    try {
      for await (const event of this.reader.follow({ afterCommitSeq: after, pollMs: 1_000, signal: over.signal, ...filter })) {
        const isRoomLeft = response.write(`id: ${event.commitSeq}\nevent: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
        if (!isRoomLeft) await drained(response, over.signal);
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
  }
}

function drained(response: ServerResponse, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    response.once("drain", resolve);
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

export function eventRoutes(streams: EventStreams): Route[] {
  return [
    route({
      method: "GET",
      path: "/api/v1/events",
      summary: "A page of the job's history",
      query: eventsQuery,
      handle: ({ query }) => ({ events: pageOf(streams.reader, query) }),
    }),
    route({
      method: "GET",
      path: "/api/v1/events/stream",
      summary: "The job's history from `after` (or Last-Event-ID), and every event as it comes, as server-sent events",
      query: eventsQuery,
      handle: async ({ query, request, reply }) => {
        const last = Number(request.headers["last-event-id"]);
        reply.hijack();
        await streams.serve(reply.raw, Number.isSafeInteger(last) ? last : query.after, filterOf(query));
      },
    }),
  ];
}

type EventsQuery = Readonly<{ after: number; limit: number; newest: "true" | "false"; actor: string; type: string[] }>;

function filterOf({ actor, type }: EventsQuery): Filter {
  return { ...(actor === "" ? {} : { actor }), ...(type.length === 0 ? {} : { types: type }) };
}

function pageOf(reader: JournalReader, query: EventsQuery): HistoryEvent[] {
  const filter = { ...filterOf(query), limit: query.limit };
  try {
    if (query.newest === "true") return reader.read({ order: "newest-first", ...filter });
    return reader.read({ order: "oldest-first", afterCommitSeq: query.after, ...filter });
  } catch (error) {
    if (error instanceof BoundaryError) throw new HttpError(error.code, error.message, error.details.hint ?? null);
    throw error;
  }
}
