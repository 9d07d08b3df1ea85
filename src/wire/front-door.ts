/**
 * The listening socket of the Master Service, open before what answers is loaded: who comes early waits for the answer instead of for the port.
 *
 * - F1  Requests that come before `answerWith` are kept in order and answered then; the time limit of a request ends them as any other.
 */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { WireLimits } from "./wire-limits.js";

export type RequestHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Longer than clients keep idle connections, so that they close them. */
const keepAliveMs = 75_000;

export class FrontDoor {
  readonly server: Server;
  #handler: RequestHandler | null = null;
  #early: (() => void)[] = [];

  constructor(limits: WireLimits) {
    this.server = createServer(
      {
        requestTimeout: limits.requestTimeoutMs,
        keepAliveTimeout: keepAliveMs,
        headersTimeout: limits.headersTimeoutMs,
        connectionsCheckingInterval: Math.min(1_000, limits.headersTimeoutMs),
      },
      (request, response) => {
        if (this.#handler) this.#handler(request, response);
        else this.#early.push(() => this.#handler?.(request, response)); // F1
      },
    );
    this.server.maxConnections = limits.connectionsMax;
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
