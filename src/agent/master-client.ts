/**
 * The agent's way to the master: JSON over HTTP on kept connections, tried again until the master is back.
 *
 * - M1  A request is sent again under the same X-Request-Id, so that one that was carried out but not answered does not act twice.
 * - M2  Between attempts: 50 ms, doubled to 1 s, with jitter; the first success of any request ends the waits of all.
 * - M3  An answer with `ok: false` is an answer, not a failure.
 */

import { readFileSync } from "node:fs";
import { Agent, request, type IncomingMessage } from "node:http";

const backoffMinMs = 50;
const backoffMaxMs = 1_000;
/** A post that is not answered by then is tried again. */
const postTimeoutMs = 15_000;
const answerBytesMax = 16 * 1024 * 1024;

export type Refusal = Readonly<{ ok: false; code: string; message: string }>;
export type Answer = Readonly<{ ok: true } & Record<string, unknown>> | Refusal;

/** Why an attempt failed, and whether the same request may still succeed. */
class AttemptFailed extends Error {}

export class MasterClient {
  readonly #base: URL;
  readonly #tokenPath: string;
  readonly #agentId: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 8, noDelay: true });
  readonly #onReachable: (isReachable: boolean, because: string) => void;
  readonly #aborter = new AbortController();
  #token: string;
  #nextRequest = 1;
  #isReachable = true;
  readonly #wakeSleepers = new Set<() => void>();
  #localAddress = "127.0.0.1";

  /** `onReachable` is called when the master goes away and when it is back. */
  constructor(address: string, tokenPath: string, agentId: string, onReachable: (isReachable: boolean, because: string) => void) {
    this.#base = new URL(address.includes("://") ? address : `http://${address}`);
    this.#tokenPath = tokenPath;
    this.#agentId = agentId;
    this.#token = readFileSync(tokenPath, "utf8").trim();
    this.#onReachable = onReachable;
  }

  /** The address of this host on the way to the master: where other hosts of the job can reach it. */
  get localAddress(): string {
    return this.#localAddress;
  }

  /** Whether the last attempt was answered. */
  get isReachable(): boolean {
    return this.#isReachable;
  }

  /** Until it is answered, or `isWanted` says no: then null. `body` is made anew for each attempt. */
  async post(path: string, body: () => unknown, isWanted: () => boolean = () => true): Promise<Answer | null> {
    return this.#persist("POST", path, () => JSON.stringify(body()), postTimeoutMs, isWanted);
  }

  /** One attempt; null where it failed. */
  async tryPost(path: string, body: unknown): Promise<Answer | null> {
    try {
      return await this.#attempt("POST", path, JSON.stringify(body), postTimeoutMs, this.#newRequestId());
    } catch (error) {
      if (error instanceof AttemptFailed) return null;
      throw error;
    }
  }

  /** A long poll of up to `waitMs`, until it is answered. */
  async get(path: string, waitMs: number, isWanted: () => boolean): Promise<Answer | null> {
    return this.#persist("GET", path, () => null, waitMs + postTimeoutMs, isWanted);
  }

  close(): void {
    this.#aborter.abort();
    for (const wake of this.#wakeSleepers) wake();
    this.#agent.destroy();
  }

  async #persist(method: string, path: string, body: () => string | null, timeoutMs: number, isWanted: () => boolean): Promise<Answer | null> {
    const requestId = this.#newRequestId(); // M1
    for (let backoffMs = backoffMinMs; isWanted() && !this.#aborter.signal.aborted; backoffMs = Math.min(backoffMaxMs, backoffMs * 2)) {
      try {
        return await this.#attempt(method, path, body(), timeoutMs, requestId);
      } catch (error) {
        if (!(error instanceof AttemptFailed)) throw error;
        await this.#sleep(backoffMs * (0.5 + Math.random()));
      }
    }
    return null;
  }

  /** Rejects with AttemptFailed where the same request may succeed later. */
  async #attempt(method: string, path: string, body: string | null, timeoutMs: number, requestId: string): Promise<Answer> {
    try {
      const response = await this.#exchange(method, path, body, timeoutMs, requestId);
      if (response.status === 401) this.#token = readFileSync(this.#tokenPath, "utf8").trim();
      const answer = parseAnswer(response.text);
      if (answer === null || response.status === 401 || response.status === 429 || response.status >= 500) {
        throw new AttemptFailed(`${method} ${path}: ${response.status} ${response.text.slice(0, 200)}`);
      }
      this.#reached();
      return answer; // M3
    } catch (error) {
      const because = error instanceof Error ? error.message : String(error);
      if (this.#isReachable && !this.#aborter.signal.aborted) this.#onReachable((this.#isReachable = false), because);
      throw new AttemptFailed(because, { cause: error });
    }
  }

  #exchange(method: string, path: string, body: string | null, timeoutMs: number, requestId: string): Promise<{ status: number; text: string }> {
    const length = body === null ? {} : { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
    const headers = { authorization: `Bearer ${this.#token}`, "x-request-id": requestId, ...length };
    return new Promise((resolve, reject) => {
      const sent = request(
        { agent: this.#agent, host: this.#base.hostname, port: this.#base.port, method, path, headers, timeout: timeoutMs, signal: this.#aborter.signal },
        (response) => void readAll(response).then((text) => resolve({ status: response.statusCode ?? 0, text }), reject),
      );
      sent.on("timeout", () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
      sent.on("error", reject);
      sent.on("socket", (socket) => {
        if (socket.localAddress !== undefined) this.#localAddress = socket.localAddress;
        else socket.once("connect", () => (this.#localAddress = socket.localAddress ?? this.#localAddress));
      });
      sent.end(body ?? undefined);
    });
  }

  // M2
  #reached(): void {
    if (!this.#isReachable) this.#onReachable((this.#isReachable = true), "");
    for (const wake of this.#wakeSleepers) wake();
  }

  #sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#wakeSleepers.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, delayMs);
      this.#wakeSleepers.add(wake);
    });
  }

  #newRequestId(): string {
    return `${this.#agentId}-${this.#nextRequest++}`;
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes > answerBytesMax) throw new Error(`an answer of over ${answerBytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

function parseAnswer(text: string): Answer | null {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null; // Not ours: a proxy's page, or half an answer.
  }
  if (typeof value !== "object" || value === null || !("ok" in value)) return null;
  if (value.ok === true) return value as Answer;
  return value.ok === false && "code" in value && "message" in value ? (value as Refusal) : null;
}
