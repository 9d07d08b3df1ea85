/**
 * What agents ask, forwarded to the Job Manager.
 *
 * Its replies go back as they are, refusals too: an agent reads `ok` and `code`. Every message is level-triggered or names what it is about, so
 * each may be sent again, by the agent or by the runtime.
 */

import { type Asker, ask } from "./asker.js";
import { desiredQuery, joinBody, nodeParams, probeBody, progressBody, ranksBody, registerBody, waitMsMax } from "./agent-api.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/agents/:node";
/** How much longer than the poll the ask may take. */
const slackMs = 10_000;

export function agentRoutes(asker: Asker): Route[] {
  const forward = (type: string, node: string, body: object): Promise<object> =>
    ask(asker, "jobManager", { type, node, ...body } as { type: string }, { isIdempotent: true });
  const params = nodeParams;
  return [
    route({
      method: "POST",
      path: `${base}/register`,
      summary: "An agent begins or comes back, with what it has",
      params,
      body: registerBody,
      bodyBytesMax: 64 * 1024 * 1024,
      handle: ({ params: { node }, body }) => forward("register-agent", node, body),
    }),
    route({
      method: "POST",
      path: `${base}/join`,
      summary: "The node is ready for a rendezvous round, with a fresh store",
      params,
      body: joinBody,
      handle: ({ params: { node }, body }) => forward("join-round", node, body),
    }),
    route({
      method: "POST",
      path: `${base}/ranks`,
      summary: "The node's ranks as they are",
      params,
      body: ranksBody,
      bodyBytesMax: 64 * 1024 * 1024,
      handle: ({ params: { node }, body }) => forward("report-ranks", node, body),
    }),
    route({
      method: "POST",
      path: `${base}/progress`,
      summary: "Steps, losses, samples, CPU and memory of the node's ranks",
      params,
      body: progressBody,
      handle: ({ params: { node }, body }) => forward("report-progress", node, body),
    }),
    route({
      method: "POST",
      path: `${base}/probe`,
      summary: "Evidence that was asked for",
      params,
      body: probeBody,
      bodyBytesMax: 4 * 1024 * 1024,
      handle: ({ params: { node }, body }) => forward("report-probe", node, body),
    }),
    desiredRoute(asker),
  ];
}

/** The long poll; its closed socket tells at once that the agent is gone. */
function desiredRoute(asker: Asker): Route {
  return route({
    method: "GET",
    path: `${base}/desired`,
    summary: "What the node should be; answered when it is newer than `revision`, or after `waitMs`",
    params: nodeParams,
    query: desiredQuery,
    handle: async ({ params: { node }, query, reply }) => {
      let isOver = false;
      reply.raw.once("close", () => {
        if (!isOver) asker.ctx.tell({ id: asker.parts.jobManager.id }, { type: "agent-disconnected", node, agentId: query.agentId } as never);
      });
      try {
        const deadlineMs = Math.min(query.waitMs, waitMsMax) + slackMs;
        return await ask(asker, "jobManager", { type: "await-desired", node, ...query } as { type: string }, { deadlineMs, isIdempotent: true });
      } finally {
        isOver = true;
      }
    },
  });
}
