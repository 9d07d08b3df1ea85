/**
 * The OpenAPI document, made from the very schemas that validate.
 *
 * @fastify/swagger makes it, in an application that never listens and only when somebody asks: the start of a master does not pay for it.
 */

import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { type Route, route } from "./route.js";

export function openApiRoute(routes: readonly Route[]): Route {
  let made: Promise<object> | null = null;
  return route({
    method: "GET",
    path: "/api/v1/openapi.json",
    summary: "This document",
    handle: () => (made ??= makeDocument(routes)),
  });
}

async function makeDocument(routes: readonly Route[]): Promise<object> {
  const [{ default: Fastify }, { default: swagger }] = await Promise.all([import("fastify"), import("@fastify/swagger")]);
  const app: FastifyInstance = Fastify();
  await app.register(swagger, {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Drover", version: "v1", description: "The REST API of a job's master." },
      components: { securitySchemes: { token: { type: "http", scheme: "bearer" } } },
    },
  });
  for (const { method, path, summary, params, query, body, isOpen } of routes) {
    const schema = {
      summary,
      ...(isOpen === true ? {} : { security: [{ token: [] }] }),
      ...(params ? { params: jsonSchemaOf(params) } : {}),
      ...(query ? { querystring: jsonSchemaOf(query) } : {}),
      ...(body ? { body: jsonSchemaOf(body) } : {}),
    };
    app.route({ method, url: path, schema, handler: () => null });
  }
  await app.ready();
  return app.swagger();
}

function jsonSchemaOf(schema: z.ZodType): object {
  return z.toJSONSchema(schema, { io: "input", target: "draft-7", unrepresentable: "any" });
}
