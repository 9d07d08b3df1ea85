/**
 * The HTTP server of the Master Service: authentication, validation, bounds and errors, for whatever routes it is given.
 *
 * - W1  Everything but routes marked `isOpen` needs the bearer token; nobody without it learns even what exists.
 * - W2  A handler sees validated input only; the error of validation names the field, its value and what is allowed.
 * - W3  Bounds: bytes of a body, requests a second of a client, open connections, time for headers and for a request. Beyond: a documented code.
 *
 * It listens nowhere: a `FrontDoor` does.
 */

import { createHash } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import rateLimit from "@fastify/rate-limit";
import Fastify, { type ConnectionError, type FastifyInstance, type FastifyReply, type FastifyRequest, type FastifySchema } from "fastify";
import type { z } from "zod";
import type { PauseReason } from "../store/journal-messages.js";
import type { FrontDoor } from "./front-door.js";
import { HttpError, httpErrorOf } from "./http-error.js";
import type { Route } from "./route.js";
import { isAuthorized } from "./token.js";
import type { WireLimits } from "./wire-limits.js";

export type HttpServerOptions = Readonly<{
  token: string;
  limits: WireLimits;
  /** Why acknowledgements wait now, if they do. */
  pause: () => PauseReason | null;
  /** Told of every request: route, status, milliseconds. */
  onDone: (route: string, status: number, ms: number) => void;
  onDefect: (error: Error, route: string) => void;
  /** Asked first; true if it has answered. */
  before?: (request: IncomingMessage, response: ServerResponse) => boolean;
}>;

const bodyBytesMax = 1024 * 1024;
const rateWindowMs = 10_000;
const requestIdPattern = /^[\x21-\x7e]{1,128}$/;

/** Answers what comes through the door, which stays its caller's to close. */
export async function createHttpServer(routes: readonly Route[], options: HttpServerOptions, door: FrontDoor): Promise<FastifyInstance> {
  const { limits } = options;
  const app = Fastify({
    serverFactory: () => door.server,
    bodyLimit: bodyBytesMax,
    routerOptions: { maxParamLength: 512 },
    exposeHeadRoutes: false,
    schemaController: { compilersFactory },
    clientErrorHandler: answerBrokenRequest,
    frameworkErrors: (error, _request, reply) => {
      const { status, body } = httpErrorOf(error, null);
      void (reply as FastifyReply).status(status).send(body);
    },
  });
  await app.register(rateLimit, {
    global: false,
    max: limits.requestsPerSecondMax * (rateWindowMs / 1_000),
    timeWindow: rateWindowMs,
    errorResponseBuilder: (_request, { max }) =>
      new HttpError("RATE_LIMITED", "too many requests from this address", {
        allowed: `${max} within ${rateWindowMs} ms`,
        hint: "Wait as Retry-After says.",
      }),
  });
  app.addHook("onRequest", app.rateLimit()); // W3: before the token, which costs a hash.
  app.removeContentTypeParser("text/plain");
  app.addHook("onRequest", (request, reply, done) => {
    void reply.header("x-content-type-options", "nosniff");
    if (request.routeOptions.config.isOpen === true || isAuthorized(request.headers.authorization, options.token)) return done(); // W1
    const hint = "Send the token of the job's folder: Authorization: Bearer <token>.";
    done(new HttpError("UNAUTHORIZED", "the bearer token is missing or wrong", { hint }));
  });
  app.addHook("onResponse", (request, reply, done) => {
    options.onDone(routeOf(request), reply.statusCode, reply.elapsedTime);
    done();
  });
  app.setNotFoundHandler((request) => {
    const hint = "GET /api/v1/openapi.json lists what there is.";
    throw new HttpError("NOT_FOUND", `there is no ${request.method} ${request.url.slice(0, 200)}`, { hint });
  });
  app.setErrorHandler((thrown, request, reply) => {
    const error = httpErrorOf(thrown, options.pause());
    if (error.status === 503) void reply.header("retry-after", "1");
    if (error.status === 500 && thrown instanceof Error) options.onDefect(thrown, routeOf(request));
    void reply.status(error.status).type("application/json").send(error.body);
  });
  for (const route of routes) addRoute(app, route);
  await app.ready();
  const { before } = options;
  door.answerWith((request, response) => {
    if (before?.(request, response) !== true) app.routing(request, response);
  });
  return app;
}

declare module "fastify" {
  interface FastifyContextConfig {
    /** Needs no token. */
    isOpen?: boolean;
  }
}

function routeOf(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? "unknown"}`;
}

function addRoute(app: FastifyInstance, route: Route): void {
  const schema: FastifySchema = {
    ...(route.params ? { params: route.params } : {}),
    ...(route.query ? { querystring: route.query } : {}),
    ...(route.body ? { body: route.body } : {}),
  };
  app.route({
    method: route.method,
    url: route.path,
    schema,
    config: { isOpen: route.isOpen === true },
    ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
    handler: async (request, reply) => {
      const { params, query, body } = request;
      const clientRequestId = requestIdOf(request);
      const requestId = clientRequestId === null ? null : scopedId(request, clientRequestId);
      const answer = await route.handle({ params, query, body, request, reply, clientRequestId, requestId });
      return answer === undefined ? reply : answer;
    },
  });
}

function requestIdOf(request: FastifyRequest): string | null {
  const header = request.headers["x-request-id"];
  if (header === undefined) return null;
  const id = String(header);
  if (requestIdPattern.test(id)) return id;
  throw badRequest("headers.x-request-id", id, "1 to 128 visible characters of ASCII");
}

/** Two requests of other methods or paths are never taken for one. */
function scopedId(request: FastifyRequest, id: string): string {
  return createHash("sha256").update(`${request.method} ${request.url}\n${id}`).digest("base64url");
}

/** zod validates and JSON.stringify encodes: fastify's own compilers are not even loaded. (Its types know of those alone.) */
const compilersFactory = {
  buildValidator: () => compileValidator as never,
  buildSerializer: () => () => (answer: unknown) => JSON.stringify(answer),
};

/** W2. */
function compileValidator(about: Readonly<{ schema: unknown; httpPart?: string }>): (data: unknown) => { value: unknown } | { error: Error } {
  const schema = about.schema as z.ZodType;
  const part = about.httpPart ?? "request";
  return (data) => {
    const parsed = schema.safeParse(data ?? {});
    if (parsed.success) return { value: parsed.data };
    const [first] = parsed.error.issues;
    const path = [part === "querystring" ? "query" : part, ...(first?.path ?? [])].map(String);
    return { error: badRequest(path.join("."), valueAt(data, first?.path ?? []), first?.message ?? "another value") };
  };
}

function badRequest(path: string, value: unknown, allowed: string): HttpError {
  const shown = shownOf(value);
  return new HttpError("BAD_REQUEST", `${path} is ${shown}: ${allowed}`, { path, value: shown, allowed });
}

/** Of a list or an object only that it is one: it may be nested deeper than there is stack to print it. */
function shownOf(value: unknown): string {
  if (value === undefined) return "missing";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return typeof value === "object" && value !== null ? "an object" : JSON.stringify(value).slice(0, 100);
}

function valueAt(data: unknown, path: readonly PropertyKey[]): unknown {
  return path.reduce<unknown>((value, key) => (value as Record<PropertyKey, unknown> | null | undefined)?.[key], data);
}

const rawStatuses: Readonly<Record<number, string>> = { 400: "Bad Request", 408: "Request Timeout", 431: "Request Header Fields Too Large" };

/** A request that is no HTTP, or came too slowly: there is no reply to answer with, only the socket. */
function answerBrokenRequest(error: ConnectionError, socket: Socket): void {
  if (error.code === "ECONNRESET" || socket.destroyed) return;
  const cause = Object.assign(new Error(error.message), { code: error.code, statusCode: 400 });
  const { status, body } = httpErrorOf(cause, null);
  const text = JSON.stringify(body);
  const head = `HTTP/1.1 ${status} ${rawStatuses[status] ?? "Bad Request"}\r\nContent-Type: application/json\r\n`;
  if (socket.writable) socket.write(`${head}Content-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`);
  socket.destroySoon();
}
