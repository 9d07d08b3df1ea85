/** The far side of an agent: a plain HTTP server that answers what a test tells it to, and keeps what it was told. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Assignment, NodeDesired } from "../../src/job/assignment.js";

export type Received = Readonly<{ node: string; what: string; body: Record<string, unknown>; requestId: string; atMs: number }>;

type Poll = Readonly<{ node: string; revision: number; response: ServerResponse; timer: NodeJS.Timeout }>;

export class ScriptedMaster {
  readonly received: Received[] = [];
  readonly token = "secret-token";
  /** Answers to posts, by what they are; default `{ok: true}`. */
  readonly answers = new Map<string, Record<string, unknown>>();
  role = "worker";
  readonly #desired = new Map<string, NodeDesired>();
  readonly #polls = new Set<Poll>();
  readonly #watchers = new Set<() => void>();
  #server: Server | null = null;
  #port = 0;

  get address(): string {
    return `127.0.0.1:${this.#port}`;
  }

  async open(): Promise<void> {
    const server = (this.#server = createServer((request, response) => void this.#answer(request, response)));
    await new Promise<void>((resolve) => server.listen(this.#port, "127.0.0.1", resolve));
    this.#port = (server.address() as AddressInfo).port;
  }

  /** As a killed master: every connection is reset, and the port is closed until `open`. */
  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    for (const { timer } of this.#polls) clearTimeout(timer);
    this.#polls.clear();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  want(node: string, wish: Partial<NodeDesired> & Pick<NodeDesired, "phase">): void {
    const before = this.#desired.get(node);
    const revision = (before?.revision ?? 0) + 1;
    this.#desired.set(node, { round: 0, assignment: null, graceMs: 2_000, probes: [], ...wish, revision });
    for (const poll of [...this.#polls]) if (poll.node === node) this.#endPoll(poll);
  }

  join(node: string, round: number, graceMs = 2_000): void {
    this.want(node, { phase: "join", round, graceMs });
  }

  run(node: string, assignment: Assignment): void {
    this.want(node, { phase: "run", round: assignment.round, assignment });
  }

  /** The first thing received from now or before that is so. */
  async until(what: string, isSo: (received: Received) => boolean, timeoutMs = 15_000): Promise<Received> {
    for (const deadlineMs = Date.now() + timeoutMs; ; ) {
      const found = this.received.find((received) => received.what === what && isSo(received));
      if (found) return found;
      if (Date.now() > deadlineMs) {
        const seen = this.received.filter((received) => received.what === what).slice(-3);
        throw new Error(`waited ${timeoutMs} ms for ${what}; last: ${JSON.stringify(seen)}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(done, 100);
        const watchers = this.#watchers;
        function done(): void {
          clearTimeout(timer);
          watchers.delete(done);
          resolve();
        }
        watchers.add(done);
      });
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://master");
    const [, , , , node = "", what = ""] = url.pathname.split("/");
    if (request.headers.authorization !== `Bearer ${this.token}`) {
      send(response, { ok: false, code: "BAD_TOKEN", message: "who are you?" }, 401);
      return;
    }
    if (what === "desired") {
      const revision = Number(url.searchParams.get("revision"));
      const timer = setTimeout(() => this.#endPoll(poll), Number(url.searchParams.get("waitMs")));
      const poll: Poll = { node, revision, response, timer };
      this.#polls.add(poll);
      response.on("close", () => {
        clearTimeout(timer);
        this.#polls.delete(poll);
      });
      if ((this.#desired.get(node)?.revision ?? 0) > revision) this.#endPoll(poll);
      return;
    }
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const requestId = String(request.headers["x-request-id"]);
    this.received.push({ node, what, body: JSON.parse(text) as Record<string, unknown>, requestId, atMs: Date.now() });
    for (const watcher of [...this.#watchers]) watcher();
    const fallback = what === "register" ? { ok: true, role: this.role, nodeRank: 0, heartbeatIntervalMs: 5_000 } : { ok: true };
    send(response, this.answers.get(what) ?? fallback);
  }

  #endPoll(poll: Poll): void {
    clearTimeout(poll.timer);
    if (!this.#polls.delete(poll)) return;
    const idle: NodeDesired = { revision: 0, phase: "wait", round: 0, assignment: null, graceMs: 0, probes: [] };
    send(poll.response, this.answers.get("desired") ?? { ok: true, desired: this.#desired.get(poll.node) ?? idle });
  }
}

function send(response: ServerResponse, body: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
