/**
 * One route of the REST API as data: what it validates is what the OpenAPI document says.
 *
 * Handlers get validated input and give the body of a 200; what they throw becomes an error of the API.
 */

import type { FastifyReply, FastifyRequest } from "fastify";
import type { z } from "zod";

export type RouteInput<Params, Query, Body> = Readonly<{
  params: Params;
  query: Query;
  body: Body;
  request: FastifyRequest;
  reply: FastifyReply;
  /** The X-Request-Id header: a retried request is answered from memory. */
  requestId: string | null;
}>;

export type Route<Params = unknown, Query = unknown, Body = unknown> = Readonly<{
  method: "GET" | "POST" | "PUT";
  path: string;
  summary: string;
  params?: z.ZodType<Params>;
  query?: z.ZodType<Query>;
  body?: z.ZodType<Body>;
  /** Bytes of the body; default 1 MiB. */
  bodyBytesMax?: number;
  /** Needs no token. */
  isOpen?: boolean;
  /** Undefined: the handler has answered by itself. */
  handle(input: RouteInput<Params, Query, Body>): unknown;
}>;

/** Infers the types of a route's input from its schemas. */
export function route<Params, Query, Body>(definition: Route<Params, Query, Body>): Route {
  return definition;
}
