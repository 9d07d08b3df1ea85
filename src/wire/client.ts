/**
 * The typed client of the REST API, for the command line and for programs that look after jobs.
 *
 * - K1  A request that finds no master is tried again until `patienceMs` is over: 25 ms later, doubled to 500 ms. So are answers 429, 503 and 504.
 * - K2  What changes something carries an X-Request-Id, the same in each attempt: it acts once.
 * - K3  `follow` gives every event once and in order, over restarts of the master: it goes on behind the last one that it gave.
 */

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { Agent, type IncomingMessage, request as httpRequest } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { BoundaryError, type BoundaryDetails } from "../base/errors.js";
import type { Finding } from "../job/finding.js";
import { jobFiles, type MasterRecord, readJson } from "../launch/job-folder.js";
import type { HistoryEvent } from "../store/journal-messages.js";
import type { JobStatus } from "./job-status.js";
import { eventsIn } from "./sse-text.js";

export type WireClientOptions = Readonly<{
  /** `host:port` of the master; a function is asked before each attempt, null means not known yet. */
  address: string | (() => string | null);
  /** The job's bearer token; as above. */
  token: string | (() => string | null);
  /** How long a request is tried, in milliseconds. Default 10,000; 0 tries once; Infinity for ever. */
  patienceMs?: number;
}>;

export type EventsQuery = Readonly<{
  /** Events behind this commitSeq. Default 0. */
  after?: number;
  /** 1 to 10,000; default 1,000. */
  limit?: number;
  isNewestFirst?: boolean;
  actor?: string;
  types?: readonly string[];
}>;

export type FollowQuery = Omit<EventsQuery, "limit" | "isNewestFirst"> & Readonly<{ signal?: AbortSignal }>;

type Call = Readonly<{ method: "GET" | "POST" | "PUT"; path: string; body?: unknown; signal?: AbortSignal }>;

const backoffMinMs = 25;
const backoffMaxMs = 500;
const answerTimeoutMs = 30_000;
/** The server writes a comment every 15 s; a stream that is silent for longer than this is dead. */
const silenceMaxMs = 45_000;
const retriedStatuses: readonly number[] = [429, 503, 504];

/** An attempt that may go better later. */
class AttemptFailed extends Error {}

/** Every method throws `BoundaryError`: a code of the API (docs/errors.md), or MASTER_UNREACHABLE. */
export class WireClient {
  readonly #options: WireClientOptions;
  readonly #agent = new Agent({ keepAlive: true, noDelay: true });

  constructor(options: WireClientOptions) {
    this.#options = options;
  }

  status(): Promise<JobStatus> {
    return this.#call({ method: "GET", path: "/api/v1/job" });
  }

  /** SIGTERM to all ranks, the grace time of the job, SIGKILL; `isKill` leaves no grace. Answered at once. */
  async stop(because: string, isKill = false): Promise<void> {
    await this.#call({ method: "POST", path: "/api/v1/job/stop", body: { because, kill: isKill } });
  }

  /** Throws NOT_RUNNING. */
  async pause(because: string): Promise<void> {
    await this.#call({ method: "POST", path: "/api/v1/job/pause", body: { because } });
  }

  /** Throws NOT_PAUSED. */
  async resume(): Promise<void> {
    await this.#call({ method: "POST", path: "/api/v1/job/resume" });
  }

  /** Throws OUT_OF_RANGE, JOB_ENDING, CANNOT_PLACE. */
  scale(nodes: number, because = "asked by a person"): Promise<{ from: number; to: number }> {
    return this.#call({ method: "POST", path: "/api/v1/job/scale", body: { nodes, because } });
  }

  async findings(): Promise<readonly Finding[]> {
    const { findings } = await this.#call<{ findings: Finding[] }>({ method: "GET", path: "/api/v1/findings" });
    return findings;
  }

  async events(query: EventsQuery = {}): Promise<readonly HistoryEvent[]> {
    const path = `/api/v1/events?${queryText(query)}`;
    const { events } = await this.#call<{ events: HistoryEvent[] }>({ method: "GET", path });
    return events;
  }

  /** Whether the master and its components answer, asked once. */
  async isReady(): Promise<boolean> {
    try {
      const response = await this.#exchange({ method: "GET", path: "/readyz" }, "");
      await textOf(response);
      return response.statusCode === 200;
    } catch (error) {
      if (error instanceof AttemptFailed) return false;
      throw error;
    }
  }

  /** Events from `after` on, as they come, until `signal` is aborted (K3). */
  async *follow({ signal, after = 0, ...filter }: FollowQuery = {}): AsyncGenerator<HistoryEvent, void, undefined> {
    let position = after;
    while (signal?.aborted !== true) {
      const path = `/api/v1/events/stream?${queryText({ ...filter, after: position })}`;
      try {
        const response = await this.#persist({ method: "GET", path, ...(signal ? { signal } : {}) }, (stream) => stream);
        for await (const text of eventsIn(response)) {
          const event = JSON.parse(text) as HistoryEvent;
          position = event.commitSeq;
          yield event;
        }
      } catch (error) {
        if (isAborted(signal)) return;
        if (error instanceof BoundaryError) throw error;
      }
      if (!isAborted(signal)) await delay(backoffMinMs);
    }
  }

  /** Closes its connections; what is under way fails. */
  close(): void {
    this.#agent.destroy();
  }

  async #call<Answer>(call: Call): Promise<Answer> {
    return JSON.parse(await this.#persist(call, textOf)) as Answer;
  }

  /** K1: what `read` makes of the first answer with a status of 200. */
  async #persist<Result>(call: Call, read: (response: IncomingMessage) => Result | Promise<Result>): Promise<Result> {
    const { patienceMs = 10_000 } = this.#options;
    const requestId = randomUUID(); // K2
    const startedAtMs = performance.now();
    for (let backoffMs = backoffMinMs; ; backoffMs = Math.min(backoffMaxMs, backoffMs * 2)) {
      let problem: BoundaryError;
      try {
        const response = await this.#exchange(call, requestId);
        if (response.statusCode === 200) return await read(response);
        problem = refusalIn(await textOf(response), response.statusCode ?? 0);
        if (!retriedStatuses.includes(response.statusCode ?? 0)) throw problem;
      } catch (error) {
        if (!(error instanceof AttemptFailed) || isAborted(call.signal)) throw error;
        const hint = "drover status shows whether the job's master lives; drover resume starts it.";
        problem = new BoundaryError("MASTER_UNREACHABLE", `the master does not answer: ${error.message}`, { hint }, { cause: error });
      }
      const waitMs = backoffMs * (0.5 + Math.random() / 2);
      if (performance.now() - startedAtMs + waitMs > patienceMs) throw problem;
      await delay(waitMs, undefined, call.signal ? { signal: call.signal } : {});
    }
  }

  #exchange({ method, path, body, signal }: Call, requestId: string): Promise<IncomingMessage> {
    const address = valueOf(this.#options.address);
    const token = valueOf(this.#options.token);
    if (address === null || token === null) return Promise.reject(new AttemptFailed("it has not said yet where it listens"));
    const { hostname, port } = new URL(`http://${address}`);
    const sent = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      authorization: `Bearer ${token}`,
      ...(method === "GET" ? {} : { "x-request-id": requestId }),
      ...(sent === undefined ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(sent) }),
    };
    const timeout = path.includes("/stream") ? silenceMaxMs : answerTimeoutMs;
    const host = hostname.replace(/^\[|\]$/g, "");
    return new Promise((resolve, reject) => {
      const outgoing = httpRequest(
        { agent: this.#agent, host, port, method, path, headers, timeout, ...(signal ? { signal } : {}) },
        resolve,
      );
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer within ${timeout} ms`)));
      outgoing.on("error", (error) => reject(new AttemptFailed(error.message, { cause: error })));
      outgoing.end(sent);
    });
  }
}

/** The client of a job on this machine: address and token are read in the job's folder, anew for each attempt. */
export class JobClient extends WireClient {
  constructor(jobDir: string, options: Pick<WireClientOptions, "patienceMs"> = {}) {
    const { master, token } = jobFiles(jobDir);
    super({
      ...options,
      address: () => (readJson(master) as MasterRecord | null)?.address ?? null,
      token: () => tokenIn(token),
    });
  }
}

function tokenIn(path: string): string | null {
  try {
    return readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
}

function valueOf(value: string | (() => string | null)): string | null {
  return typeof value === "string" ? value : value();
}

function isAborted(signal: AbortSignal | undefined): boolean {
  return signal?.aborted === true;
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (error) {
    throw new AttemptFailed("the connection ended in the middle of an answer", { cause: error });
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** The error in the body of an answer; a proxy's page becomes BAD_ANSWER. */
function refusalIn(text: string, status: number): BoundaryError {
  try {
    const { error } = JSON.parse(text) as { error: { code: string; message: string; details?: BoundaryDetails } };
    return new BoundaryError(error.code, error.message, error.details ?? {});
  } catch (error) {
    const hint = "Something else than a Drover master listens there.";
    return new BoundaryError("BAD_ANSWER", `status ${status} without an error of this API`, { value: text.slice(0, 200), hint }, { cause: error });
  }
}

function queryText({ after, limit, isNewestFirst, actor, types }: EventsQuery): string {
  return new URLSearchParams({
    ...(after === undefined ? {} : { after: String(after) }),
    ...(limit === undefined ? {} : { limit: String(limit) }),
    ...(isNewestFirst === true ? { newest: "true" } : {}),
    ...(actor === undefined ? {} : { actor }),
    ...(types === undefined || types.length === 0 ? {} : { type: types.join(",") }),
  }).toString();
}
