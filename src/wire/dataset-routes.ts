/** What clients ask of data sets, forwarded to the Task Manager. */

import {
  checkpointAnswer,
  checkpointBody,
  datasetBody,
  datasetParams,
  datasetsAnswer,
  extendBody,
  leaseAnswer,
  leaseBody,
  okAnswer,
  registeredAnswer,
  taskBody,
  taskParams,
} from "./dataset-api.js";
import { granted } from "./http-error.js";
import type { MasterCalls } from "./master-calls.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/datasets";
const tag = "datasets";
const checkpointBytesMax = 16 * 1024 * 1024;
/** How much longer than its wait the ask for a shard may take. */
const slackMs = 10_000;

export function datasetRoutes(master: MasterCalls): Route[] {
  return [
    route({
      method: "GET",
      path: base,
      tag,
      summary: "Every data set and how far it is",
      answer: datasetsAnswer,
      handle: () => master.listDatasets(),
    }),
    route({
      method: "POST",
      path: base,
      tag,
      summary: "Registers a data set; again with the same description changes nothing",
      body: datasetBody,
      answer: registeredAnswer,
      handle: ({ body: { shuffle, ...dataset } }) => granted(master.registerDataset({ ...dataset, isShuffled: shuffle })),
    }),
    route({
      method: "POST",
      path: `${base}/:name/lease`,
      tag,
      summary: "The next shard for a worker; waits while others hold the last ones. The same `request` (or X-Request-Id) gets the same shard",
      params: datasetParams,
      body: leaseBody,
      answer: leaseAnswer,
      handle: ({ params: { name }, body, clientRequestId }) => {
        const request = body.request === "" ? (clientRequestId ?? "") : body.request;
        return granted(master.leaseShard({ dataset: name, ...body, request }, { deadlineMs: body.waitMs + slackMs }));
      },
    }),
    route({
      method: "POST",
      path: `${base}/:name/tasks/:taskId`,
      tag,
      summary: "A shard is done, or failed and goes back",
      params: taskParams,
      body: taskBody,
      answer: okAnswer,
      handle: ({ params: { name, taskId }, body: { ok, ...body } }) =>
        granted(master.finishShard({ dataset: name, taskId, isOk: ok, ...body })),
    }),
    route({
      method: "GET",
      path: `${base}/:name/checkpoint`,
      tag,
      summary: "What is done of a data set, as text to be kept with a checkpoint of the model",
      params: datasetParams,
      answer: checkpointAnswer,
      handle: ({ params: { name } }) => granted(master.checkpointDataset(name)),
    }),
    route({
      method: "PUT",
      path: `${base}/:name/checkpoint`,
      tag,
      summary: "Takes a data set back to such a text",
      params: datasetParams,
      body: checkpointBody,
      answer: okAnswer,
      bodyBytesMax: checkpointBytesMax,
      handle: ({ params: { name }, body, requestId }) => granted(master.restoreDataset({ dataset: name, ...body }, { requestId })),
    }),
    route({
      method: "POST",
      path: `${base}/:name/extend`,
      tag,
      summary: "A stream has more records by now, or has come to its end",
      params: datasetParams,
      body: extendBody,
      answer: okAnswer,
      handle: ({ params: { name }, body }) => granted(master.extendStream({ dataset: name, ...body })),
    }),
  ];
}
