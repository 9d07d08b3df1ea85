/** DLRover's wire on the port of the Master Service, gRPC and HTTP: what service-app.ts opens for a job whose agents are DLRover's. */

import type { IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { MasterCalls } from "../master-calls.js";
import { type DeskOptions, DlroverDesk } from "./dlrover-desk.js";
import { GrpcService } from "./grpc-service.js";
import { serveHttp } from "./http-service.js";

export type DlroverWire = Readonly<{
  desk: DlroverDesk;
  /** A connection that speaks HTTP/2. */
  take: (connection: Socket) => void;
  /** True if the request was DLRover's. */
  serve: (request: IncomingMessage, response: ServerResponse) => boolean;
  close: () => void;
}>;

export function openDlroverWire(master: MasterCalls, options: DeskOptions): DlroverWire {
  const desk = new DlroverDesk(master, options);
  const grpc = new GrpcService(desk);
  return {
    desk,
    take: (connection) => grpc.take(connection),
    serve: (request, response) => serveHttp(desk, request, response),
    close: () => grpc.close(),
  };
}
