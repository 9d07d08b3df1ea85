/**
 * The listening socket of the Master Service, open before what answers is loaded: who comes early waits for the answer instead of for the port.
 *
 * - F1  Requests that come before `answerWith` are kept in order and answered then; the time limit of a request ends them as any other.
 * - F2  Beyond `connectionsMax` open connections a request on a further one is answered TOO_MANY_CONNECTIONS, and the connection closed;
 *       beyond `toldMax` more, connections are closed at once.
 * - F3  With `splitOff` the same port speaks HTTP/2 as well: the first bytes of a connection tell. One that sends none is left alone.
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

  listen(where: Readonly<{ host: string; port: number } | { fd: number }>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.server.once("error", reject);
      this.server.listen(where, () => {
        this.server.off("error", reject);
        resolve();
      });
    });
  }

  /** F3: connections that begin as HTTP/2 does are given to `take`, with what was read put back. */
  splitOff(take: (socket: Socket) => void): void {
    const [count, serve] = [this.server.listeners("connection").at(-1), this.server.listeners("connection")[0]] as Listener[];
    this.server.removeAllListeners("connection");
    this.server.on("connection", (socket: Socket) => {
      count?.call(this.server, socket);
      readBeginning(socket, (isHttp2) => {
        if (isHttp2 && !this.#surplus.has(socket)) take(socket);
        else serve?.call(this.server, socket);
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

type Listener = (this: Server, socket: Socket) => void;

/** How a connection of HTTP/2 begins, as far as no request of HTTP/1 does. */
const preface = Buffer.from("PRI ");

function readBeginning(socket: Socket, tell: (isHttp2: boolean) => void, before = Buffer.alloc(0)): void {
  const ignore = (): undefined => undefined;
  socket.on("error", ignore); // Whoever reads next has a listener of its own.
  socket.once("readable", () => {
    socket.off("error", ignore);
    const bytes = socket.read() as Buffer | null;
    if (bytes === null) return socket.destroy(); // It ended without saying what it speaks.
    const begun = Buffer.concat([before, bytes]);
    const length = Math.min(begun.length, preface.length);
    const isLike = begun.subarray(0, length).equals(preface.subarray(0, length));
    if (isLike && length < preface.length) return readBeginning(socket, tell, begun);
    socket.unshift(begun);
    tell(isLike);
  });
}

function refuse(response: ServerResponse): void {
  response.writeHead(503, { "content-type": "application/json", "retry-after": "1", connection: "close" });
  response.end(refusal);
}
