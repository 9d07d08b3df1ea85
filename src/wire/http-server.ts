/**
 * The HTTP server of the Master Service: authentication, validation, bounds and errors, for whatever routes it is given.
 *
 * - W1  Everything but routes marked `isOpen` needs the bearer token.
 * - W2  A handler sees validated input only; the validation error names the field, its value's problem and what is allowed.
 * - W3  Bounds: bytes of a body, requests a second of a client, open connections, time for headers and for a request. Beyond: a documented code.
 */

import rateLimit from "@fastify/rate-limit";
import Fastify, { type FastifyInstance, type FastifyRequest, type FastifySchema } from "fastify";
import type { z } from "zod";
import { HttpError, httpErrorOf } from "./http-error.js";
import type { Route } from "./route.js";
import { isAuthorized } from "./token.js";

export type HttpServerOptions = Readonly<{
  token: string;
  /** Open connections; more are closed at once. Default 20,000. */
  connectionsMax?: number;
  /** Requests of one client address a second, on average over ten. Default 5,000. */
  requestsPerSecondMax?: number;
  /** Told of every request: route, status, milliseconds. */
  onDone?: (route: string, status: number, ms: number) => void;
  onDefect?: (error: Error, route: string) => void;
}>;

const bodyBytesMax = 1024 * 1024;

export async function createHttpServer(routes: readonly Route[], options: HttpServerOptions): Promise<FastifyInstance> {
  const { token, connectionsMax = 20_000, requestsPerSecondMax = 5_000 } = options;
  const app = Fastify({
    bodyLimit: bodyBytesMax,
    connectionTimeout: 0,
    requestTimeout: 30_000,
    keepAliveTimeout: 75_000,
    forceCloseConnections: true,
    routerOptions: { maxParamLength: 256 },
    http: { headersTimeout: 10_000 },
  });
  app.server.maxConnections = connectionsMax;
  await app.register(rateLimit, { max: requestsPerSecondMax * 10, timeWindow: 10_000 });
  app.removeContentTypeParser("text/plain");
  app.setValidatorCompiler(({ schema, httpPart }) => validatorOf(schema as unknown as z.ZodType, httpPart ?? "request"));
  app.setNotFoundHandler((request) => {
    throw new HttpError("NOT_FOUND", `there is no ${request.method} ${request.url}`, "GET /api/v1/openapi.json lists what there is.");
  });
  app.setErrorHandler((thrown, request, reply) => {
    const error = httpErrorOf(thrown);
    if (error.status === 503) void reply.header("Retry-After", "1");
    if (error.code === "INTERNAL" && thrown instanceof Error) options.onDefect?.(thrown, routeOf(request));
    void reply.status(error.status).send(error.body);
  });
  app.addHook("onResponse", (request, reply, done) => {
    options.onDone?.(routeOf(request), reply.statusCode, reply.elapsedTime);
    done();
  });
  for (const route of routes) addRoute(app, route, token);
  return app;
}

function routeOf(request: FastifyRequest): string {
  return `${request.method} ${request.routeOptions.url ?? "unknown"}`;
}

function addRoute(app: FastifyInstance, route: Route, token: string): void {
  const schema: FastifySchema = {
    ...(route.params ? { params: route.params } : {}),
    ...(route.query ? { querystring: route.query } : {}),
    ...(route.body ? { body: route.body } : {}),
  };
  app.route({
    method: route.method,
    url: route.path,
    schema,
    ...(route.bodyBytesMax === undefined ? {} : { bodyLimit: route.bodyBytesMax }),
    onRequest: (request, _reply, done) => {
      if (route.isOpen === true || isAuthorized(request.headers.authorization, token)) return done(); // W1
      const hint = "Send the token of the job's folder: Authorization: Bearer <token>.";
      done(new HttpError("UNAUTHORIZED", "the bearer token is missing or wrong", hint));
    },
    handler: async (request, reply) => {
      const { params, query, body } = request;
      const requestId = request.headers["x-request-id"];
      const id = typeof requestId === "string" && requestId.length <= 128 ? requestId : null;
      const answer = await route.handle({ params, query, body, request, reply, requestId: id });
      return answer === undefined ? reply : answer;
    },
  });
}

/** W2. */
function validatorOf(schema: z.ZodType, part: string): (data: unknown) => { value: unknown } | { error: Error } {
  return (data) => {
    const parsed = schema.safeParse(data ?? {});
    if (parsed.success) return { value: parsed.data };
    const problems = parsed.error.issues.slice(0, 5).map(({ path, message }) => `${[part, ...path].join(".")}: ${message}`);
    return { error: new HttpError("BAD_REQUEST", problems.join("; "), "GET /api/v1/openapi.json says what is allowed.") };
  };
}
