/**
 * The listening socket of the Master Service, open before what answers is loaded: who comes early waits for the answer instead of for the port.
 *
 * - F1  Requests that come before `answerWith` are kept in order and answered then; the time limit of a request ends them as any other.
 * - F2  Beyond `connectionsMax` open connections a request on a further one is answered TOO_MANY_CONNECTIONS, and the connection closed;
 *       beyond `toldMax` more, connections are closed at once.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { WireLimits } from "./wire-limits.js";

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Longer than clients keep idle connections, so that they close them. */
const keepAliveMs = 75_000;
/** Connections beyond the most that are still told so. */
const toldMax = 256;

const refusal = JSON.stringify({
  error: {
    code: "TOO_MANY_CONNECTIONS",
    message: "as many connections are open as the master serves",
    details: { hint: "Close what is not needed, or use one connection for many requests; Retry-After says when to try again." },
  },
});

export class FrontDoor {
  readonly server: Server;
  #handler: RequestHandler | null = null;
  #early: (() => void)[] = [];
  #open = 0;
  readonly #surplus = new WeakSet<Socket>();

  constructor(limits: WireLimits) {
    this.server = createServer(
      {
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: keepAliveMs,
        headersTimeout: limits.headersTimeoutMs,
        connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
      },
      (request, response) => {
        if (this.#surplus.has(request.socket)) refuse(response); // F2
        else if (this.#handler) this.#handler(request, response);
        else this.#early.push(() => this.#handler?.(request, response)); // F1
      },
    );
    this.server.maxConnections = limits.connectionsMax + toldMax;
    this.server.on("connection", (socket: Socket) => {
      if (++this.#open > limits.connectionsMax) this.#surplus.add(socket);
      socket.once("close", () => (this.#open -= 1));
    });
  }

  answerWith(handler: RequestHandler): void {
    this.#handler = handler;
    for (const answer of this.#early) answer();
    this.#early = [];
  }

  listen(host: string, port: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen({ host, port }, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
  }

  /** Ends every connection. */
  close(): Promise<void> {
    return new Promise((resolve) => {
      this.server.close(() => resolve());
      this.server.closeAllConnections();
    });
  }
}

function refuse(response: ServerResponse): void {
  response.writeHead(503, { "content-type": "application/json", "retry-after": "1", connection: "close" });
  response.end(refusal);
}
