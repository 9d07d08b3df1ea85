/** What people and programs ask of the job. */

import type { WorldView } from "../job/world-view.js";
import type { JobStatus } from "./job-status.js";
import { type Asker, ask } from "./asker.js";
import { granted } from "./http-error.js";
import { pauseBody, scaleBody, stopBody } from "./job-api.js";
import { type Route, route } from "./route.js";

const base = "/api/v1/job";

export function jobRoutes(asker: Asker, master: Readonly<{ restarts: number; address: string }>): Route[] {
  const orchestrate = async (message: object): Promise<object> =>
    granted(await ask(asker, "masterOrchestrator", message as { type: string }, { isIdempotent: true }));
  return [
    route({ method: "GET", path: base, summary: "The job as it is", handle: () => statusOf(asker, master) }),
    route({
      method: "POST",
      path: `${base}/stop`,
      summary: "Ends the job: SIGTERM, the grace time, SIGKILL; with `kill` at once",
      body: stopBody,
      handle: ({ body: { because, kill } }) => orchestrate({ type: "stop-job", because, isKill: kill }),
    }),
    route({
      method: "POST",
      path: `${base}/pause`,
      summary: "Ends the ranks and keeps the nodes",
      body: pauseBody,
      handle: ({ body: { because } }) => orchestrate({ type: "pause-job", because }),
    }),
    route({ method: "POST", path: `${base}/resume`, summary: "Goes on after a pause", handle: () => orchestrate({ type: "resume-job" }) }),
    route({
      method: "POST",
      path: `${base}/scale`,
      summary: "Sets the number of nodes, within the job's bounds",
      body: scaleBody,
      handle: async ({ body }) => granted(await ask(asker, "jobAutoScaler", { type: "scale-job", ...body }, { isIdempotent: true })),
    }),
    route({
      method: "GET",
      path: "/api/v1/findings",
      summary: "What the diagnosis found, with its evidence",
      handle: () => ask(asker, "diagnosisMaster", { type: "list-findings" }, { isIdempotent: true }),
    }),
    route({ method: "GET", path: "/healthz", summary: "The server is up", isOpen: true, handle: () => ({ ok: true }) }),
    route({
      method: "GET",
      path: "/readyz",
      summary: "The components answer",
      isOpen: true,
      handle: async () => {
        const [job] = await Promise.all([ask<JobAnswer>(asker, "masterOrchestrator", { type: "get-job" }), ask(asker, "jobManager", { type: "get-world" })]);
        return { ok: true, stage: job.stage };
      },
    }),
  ];
}

type JobAnswer = Readonly<{ stage: string }>;

async function statusOf(asker: Asker, master: Readonly<{ restarts: number; address: string }>): Promise<JobStatus> {
  const [{ job, stage, reason, createdAtMs, endedAtMs }, world] = await Promise.all([
    ask<Pick<JobStatus, "job" | "stage" | "reason" | "createdAtMs" | "endedAtMs">>(asker, "masterOrchestrator", { type: "get-job" }, { isIdempotent: true }),
    ask<WorldView>(asker, "jobManager", { type: "get-world" }, { isIdempotent: true }),
  ]);
  return { ...world, job, stage, reason, createdAtMs, endedAtMs, master: { pid: process.pid, ...master } };
}
