/** The history of the job: pages of events, and the stream of those to come (server-sent events). */

import type { HistoryFilter } from "../store/journal-messages.js";
import { eventsAnswer, eventsQuery, streamAnswer, streamQuery } from "./event-api.js";
import { eventJson } from "./event-json.js";
import type { EventStreams } from "./event-streams.js";
import { HttpError } from "./http-error.js";
import { type Route, route } from "./route.js";

const tag = "events";

/** `onDefect` hears of a stream that broke after it had begun, when no answer can say so any more. */
export function eventRoutes(streams: EventStreams, onDefect: (error: Error, route: string) => void): Route[] {
  return [
    route({
      method: "GET",
      path: "/api/v1/events",
      tag,
      summary: "A page of the job's history",
      query: eventsQuery,
      answer: eventsAnswer,
      handle: ({ query, reply }) => {
        const filter = { ...filterOf(query), limit: query.limit };
        const events =
          query.newest === "true"
            ? streams.page({ order: "newest-first", ...filter })
            : streams.page({ order: "oldest-first", afterCommitSeq: query.after, ...filter });
        void reply.type("application/json").send(`{"events":[${events.map(eventJson).join()}]}`);
        return undefined;
      },
    }),
    route({
      method: "GET",
      path: "/api/v1/events/stream",
      tag,
      summary: "The job's history behind `after` (or the header Last-Event-ID), and every event as it comes",
      query: streamQuery,
      answer: streamAnswer,
      answerType: "text/event-stream",
      handle: ({ query, request, reply }) => {
        const last = request.headers["last-event-id"];
        const stream = streams.open(last === undefined ? query.after : positionIn(String(last)), filterOf(query));
        reply.hijack();
        stream.serve(reply.raw).catch((thrown: unknown) => {
          onDefect(thrown instanceof Error ? thrown : new Error(String(thrown)), "GET /api/v1/events/stream");
        });
        return undefined;
      },
    }),
  ];
}

function filterOf({ actor, type }: Readonly<{ actor: string; type: readonly string[] }>): HistoryFilter {
  return { ...(actor === "" ? {} : { actor }), ...(type.length === 0 ? {} : { types: type }) };
}

function positionIn(header: string): number {
  const position = /^\d{1,16}$/.test(header) ? Number(header) : -1;
  if (Number.isSafeInteger(position) && position >= 0) return position;
  throw new HttpError("BAD_REQUEST", `headers.last-event-id is ${JSON.stringify(header.slice(0, 100))}; it must be the id of an event`, {
    path: "headers.last-event-id",
    value: header.slice(0, 100),
    allowed: "a whole number from 0",
  });
}
