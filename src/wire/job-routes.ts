/** What people and programs ask of the job. */

import { AskError } from "../runtime/ask-error.js";
import { nodeParams } from "./agent-api.js";
import { okAnswer } from "./dataset-api.js";
import { granted, HttpError } from "./http-error.js";
import { actionBody, findingsAnswer, healthAnswer, jobAnswer, pauseBody, readyAnswer, scaleAnswer, scaleBody, stopBody } from "./job-api.js";
import type { JobStatus } from "./job-status.js";
import type { MasterCalls } from "./master-calls.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/job";
const tag = "job";
/** The components are not ready if they do not answer within this. */
const readyMs = 1_000;

export type MasterFacts = Readonly<{ restarts: number; address: string; dlrover: JobStatus["dlrover"] }>;

export function jobRoutes(master: MasterCalls, facts: () => MasterFacts): Route[] {
  return [
    route({
      method: "GET",
      path: base,
      tag,
      summary: "The job as it is",
      answer: jobAnswer,
      handle: () => statusOf(master, facts()),
    }),
    route({
      method: "POST",
      path: `${base}/stop`,
      tag,
      summary: "Ends the job: SIGTERM, the grace time, SIGKILL; with `kill` at once",
      body: stopBody,
      answer: okAnswer,
      handle: ({ body: { because, kill }, requestId }) => granted(master.stopJob({ because, isKill: kill }, { requestId })),
    }),
    route({
      method: "POST",
      path: `${base}/pause`,
      tag,
      summary: "Ends the ranks and keeps the nodes",
      body: pauseBody,
      answer: okAnswer,
      handle: ({ body, requestId }) => granted(master.pauseJob(body, { requestId })),
    }),
    route({
      method: "POST",
      path: `${base}/resume`,
      tag,
      summary: "Goes on after a pause",
      answer: okAnswer,
      handle: ({ requestId }) => granted(master.resumeJob({ requestId })),
    }),
    route({
      method: "POST",
      path: `${base}/scale`,
      tag,
      summary: "Sets the number of nodes, within the job's bounds",
      body: scaleBody,
      answer: scaleAnswer,
      handle: ({ body, requestId }) => granted(master.scaleJob(body, { requestId })),
    }),
    route({
      method: "POST",
      path: "/api/v1/nodes/:node/actions",
      tag,
      summary: "What the agent of a node, one of DLRover's, is told with its next heartbeat",
      params: nodeParams,
      body: actionBody,
      answer: okAnswer,
      handle: ({ params, body, requestId }) => granted(master.actOnNode({ ...params, ...body }, { requestId })),
    }),
    route({
      method: "GET",
      path: "/api/v1/findings",
      tag,
      summary: "What the diagnosis found, with its evidence",
      answer: findingsAnswer,
      handle: () => master.listFindings(),
    }),
    ...healthRoutes(master),
  ];
}

function healthRoutes(master: MasterCalls): Route[] {
  return [
    route({
      method: "GET",
      path: "/healthz",
      tag: "health",
      summary: "The server is up",
      isOpen: true,
      answer: healthAnswer,
      handle: () => ({ ok: true as const }),
    }),
    route({
      method: "GET",
      path: "/readyz",
      tag: "health",
      summary: "The components answer; until then 503 STARTING",
      isOpen: true,
      answer: readyAnswer,
      handle: async () => {
        try {
          const within = { deadlineMs: readyMs };
          const [{ stage }] = await Promise.all([master.getJob(within), master.getWorld(within)]);
          return { ok: true as const, stage };
        } catch (error) {
          if (!(error instanceof AskError)) throw error;
          throw new HttpError("STARTING", `the master is not ready: ${error.message}`, { hint: "Retry-After says when to try again." });
        }
      },
    }),
  ];
}

async function statusOf(master: MasterCalls, facts: MasterFacts): Promise<JobStatus> {
  const [{ job, stage, reason, createdAtMs, endedAtMs }, world] = await Promise.all([master.getJob(), master.getWorld()]);
  const { dlrover, ...ofMaster } = facts;
  return { ...world, job, stage, reason, createdAtMs, endedAtMs, master: { pid: process.pid, ...ofMaster }, ...(dlrover ? { dlrover } : {}) };
}
