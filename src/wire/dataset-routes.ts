/** What clients ask of data sets, forwarded to the Task Manager. */

import { type Asker, ask } from "./asker.js";
import { checkpointBody, datasetBody, datasetParams, extendBody, leaseBody, taskBody, taskParams } from "./dataset-api.js";
import { granted } from "./http-error.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/datasets";

export function datasetRoutes(asker: Asker): Route[] {
  const forward = async (message: object, deadlineMs = 10_000, requestId: string | null = null): Promise<object> =>
    granted(await ask(asker, "taskManager", message as { type: string }, { deadlineMs, requestId, isIdempotent: true }));
  return [
    route({
      method: "GET",
      path: base,
      summary: "Every data set and how far it is",
      handle: () => forward({ type: "list-datasets" }),
    }),
    route({
      method: "POST",
      path: base,
      summary: "Registers a data set; again with the same description changes nothing",
      body: datasetBody,
      handle: ({ body: { shuffle, ...dataset } }) => forward({ type: "register-dataset", dataset: { ...dataset, isShuffled: shuffle } }),
    }),
    route({
      method: "POST",
      path: `${base}/:name/lease`,
      summary: "The next shard for a worker; waits while others hold the last ones",
      params: datasetParams,
      body: leaseBody,
      handle: ({ params: { name }, body, requestId }) =>
        forward({ type: "lease-shard", dataset: name, ...body, request: body.request || (requestId ?? "") }, body.waitMs + 10_000),
    }),
    route({
      method: "POST",
      path: `${base}/:name/tasks/:taskId`,
      summary: "A shard is done, or failed and goes back",
      params: taskParams,
      body: taskBody,
      handle: ({ params: { name, taskId }, body: { ok, ...body }, requestId }) =>
        forward({ type: "finish-shard", dataset: name, taskId, isOk: ok, ...body }, 10_000, requestId),
    }),
    route({
      method: "GET",
      path: `${base}/:name/checkpoint`,
      summary: "What is done of a data set, as text to be kept with a checkpoint of the model",
      params: datasetParams,
      handle: ({ params: { name } }) => forward({ type: "checkpoint-dataset", dataset: name }),
    }),
    route({
      method: "PUT",
      path: `${base}/:name/checkpoint`,
      summary: "Takes a data set back to such a text",
      params: datasetParams,
      body: checkpointBody,
      bodyBytesMax: 16 * 1024 * 1024,
      handle: ({ params: { name }, body, requestId }) => forward({ type: "restore-dataset", dataset: name, ...body }, 10_000, requestId),
    }),
    route({
      method: "POST",
      path: `${base}/:name/extend`,
      summary: "A stream has more records by now, or has come to its end",
      params: datasetParams,
      body: extendBody,
      handle: ({ params: { name }, body }) => forward({ type: "extend-stream", dataset: name, ...body }),
    }),
  ];
}
