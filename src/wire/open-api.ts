/**
 * The OpenAPI document, made from the very schemas that validate.
 *
 * @fastify/swagger makes it, in an application that never listens and only when somebody asks: the start of a master does not pay for it.
 */

import type { FastifyInstance } from "fastify";
import * as z from "zod";
import { errorBody } from "./http-error.js";
import { type Route, route } from "./route.js";

const description =
  "The REST API of a job's master. Everything but health needs the bearer token. What fails answers with a status of 4xx or 5xx and " +
  "{ error: { code, message, details? } }; docs/errors.md lists the codes. 503 carries Retry-After. A request that is sent again with the same " +
  "X-Request-Id acts once.";

export function openApiRoute(routes: readonly Route[]): Route {
  let made: Promise<object> | null = null;
  const own: Route = route({
    method: "GET",
    path: "/api/v1/openapi.json",
    tag: "health",
    summary: "This document",
    answer: z.looseObject({}),
    handle: async () => ({ ...(await (made ??= makeDocument([...routes, own]))) }),
  });
  return own;
}

async function makeDocument(routes: readonly Route[]): Promise<object> {
  const [{ default: Fastify }, { default: swagger }] = await Promise.all([import("fastify"), import("@fastify/swagger")]);
  const app: FastifyInstance = Fastify({ exposeHeadRoutes: false });
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Drover", version: "v1", description },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
  });
  for (const each of routes) app.route({ method: each.method, url: each.path, schema: documented(each), handler: () => null });
  await app.ready();
  return app.swagger();
}

function documented({ summary, tag, params, query, body, answer, answerType = "application/json", isOpen }: Route): object {
  const error = { description: "An error", content: { "application/json": { schema: jsonSchemaOf(errorBody, "output") } } };
  return {
    summary,
    tags: [tag],
    ...(isOpen === true ? {} : { security: [{ token: [] }] }),
    ...(params ? { params: jsonSchemaOf(params, "input") } : {}),
    ...(query ? { querystring: jsonSchemaOf(query, "input") } : {}),
    ...(body ? { body: jsonSchemaOf(body, "input") } : {}),
    response: {
      200: { description: "Done", content: { [answerType]: { schema: jsonSchemaOf(answer, "output") } } },
      default: error,
    },
  };
}

function jsonSchemaOf(schema: z.ZodType, io: "input" | "output"): object {
  return z.toJSONSchema(schema, { io, target: "draft-7", unrepresentable: "any" });
}
