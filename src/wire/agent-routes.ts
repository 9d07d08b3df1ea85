/**
 * What agents ask, forwarded to the Job Manager.
 *
 * Its replies go back as they are, refusals too: an agent reads `ok` and `code`. Every message is level-triggered or names what it is about, so
 * each may be sent again, by the agent or by the runtime, and none needs to be remembered by its request id.
 */

import {
  desiredAnswer,
  desiredQuery,
  doneAnswer,
  joinBody,
  nodeParams,
  probeBody,
  progressBody,
  ranksBody,
  registerAnswer,
  registerBody,
  waitMsMax,
} from "./agent-api.js";
import type { MasterCalls } from "./master-calls.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/agents/:node";
const tag = "agents";
/** 1,024 ranks with an error text of 64 KiB each. */
const ranksBytesMax = 64 * 1024 * 1024;
const probeBytesMax = 16 * 1024 * 1024;
/** How much longer than the poll the ask may take. */
const slackMs = 10_000;

export function agentRoutes(master: MasterCalls): Route[] {
  const params = nodeParams;
  return [
    route({
      method: "POST",
      path: `${base}/register`,
      tag,
      summary: "An agent begins or comes back, with what it has",
      params,
      body: registerBody,
      answer: registerAnswer,
      bodyBytesMax: ranksBytesMax,
      handle: ({ params: { node }, body }) => master.registerAgent({ node, ...body }),
    }),
    route({
      method: "POST",
      path: `${base}/join`,
      tag,
      summary: "The node is ready for a rendezvous round, with a fresh store",
      params,
      body: joinBody,
      answer: doneAnswer,
      handle: ({ params: { node }, body }) => master.joinRound({ node, ...body }),
    }),
    route({
      method: "POST",
      path: `${base}/ranks`,
      tag,
      summary: "The node's ranks as they are",
      params,
      body: ranksBody,
      answer: doneAnswer,
      bodyBytesMax: ranksBytesMax,
      handle: ({ params: { node }, body }) => master.reportRanks({ node, ...body }),
    }),
    route({
      method: "POST",
      path: `${base}/progress`,
      tag,
      summary: "Steps, losses, samples, CPU and memory of the node's ranks",
      params,
      body: progressBody,
      answer: doneAnswer,
      handle: ({ params: { node }, body }) => master.reportProgress({ node, ...body }),
    }),
    route({
      method: "POST",
      path: `${base}/probe`,
      tag,
      summary: "Evidence that was asked for",
      params,
      body: probeBody,
      answer: doneAnswer,
      bodyBytesMax: probeBytesMax,
      handle: ({ params: { node }, body }) => master.reportProbe({ node, ...body }),
    }),
    desiredRoute(master),
  ];
}

/** The long poll; its closed socket tells at once that the agent is gone. */
function desiredRoute(master: MasterCalls): Route {
  return route({
    method: "GET",
    path: `${base}/desired`,
    tag,
    summary: "What the node should be; answered when it is newer than `revision`, or after `waitMs`",
    params: nodeParams,
    query: desiredQuery,
    answer: desiredAnswer,
    handle: async ({ params: { node }, query, reply }) => {
      let isPending = true;
      reply.raw.once("close", () => {
        if (isPending) master.agentDisconnected({ node, agentId: query.agentId });
      });
      try {
        const deadlineMs = Math.min(query.waitMs, waitMsMax) + slackMs;
        return await master.awaitDesired({ node, ...query }, { deadlineMs });
      } finally {
        isPending = false;
      }
    },
  });
}
