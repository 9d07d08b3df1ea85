/**
 * One route of the REST API as data: what it validates and answers is what the OpenAPI document says.
 *
 * Handlers get validated input and give the body of a 200; what they throw becomes an error of the API (http-error.ts).
 */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";

export type RouteInput<Params, Query, Body> = Readonly<{
  params: Params;
  query: Query;
  body: Body;
  request: FastifyRequest;
  reply: FastifyReply;
  /** The X-Request-Id header, as the client sent it. */
  clientRequestId: string | null;
  /** The same, made unique over methods and paths: what the runtime remembers answers by. */
  requestId: string | null;
}>;

export type Route<Params = unknown, Query = unknown, Body = unknown, Answer = unknown> = Readonly<{
  method: "GET" | "POST" | "PUT";
  path: string;
  /** Which part of the API it belongs to, in the document. */
  tag: "agents" | "datasets" | "events" | "health" | "job";
  summary: string;
  params?: z.ZodType<Params>;
  query?: z.ZodType<Query>;
  body?: z.ZodType<Body>;
  /** The body of a 200. */
  answer: z.ZodType<Answer>;
  /** Default application/json. */
  answerType?: "application/json" | "text/event-stream" | "text/plain";
  /** Bytes of the body; default 1 MiB. */
  bodyBytesMax?: number;
  /** Needs no token. */
  isOpen?: boolean;
  /** Undefined: the handler answers by itself. */
  handle(input: RouteInput<Params, Query, Body>): Answer | undefined | Promise<Answer | undefined>;
}>;

/** Infers the types of a route's input from its schemas. */
export function route<Params, Query, Body, Answer>(definition: Route<Params, Query, Body, Answer>): Route {
  return definition;
}
