/**
 * DLRover's messages over HTTP: POST /get and /report with a JSON envelope, answered with the pickle of a `BaseResponse`.
 *
 * Stands before the REST API on the same port, for its clients know nothing of tokens, rate limits and codes of errors, and open a connection for
 * each of ten requests a second.
 */

import type { IncomingMessage, ServerResponse } from "node:http";
import * as z from "zod";
import { writeMessage } from "./message-codec.js";
import type { DlroverDesk } from "./dlrover-desk.js";
import { readAll } from "./read-all.js";
import type { Method } from "./row.js";

/** A body is base64 of a message of at most 256 MiB. */
const bodyBytesMax = 360 * 1024 * 1024;

const envelope = z.object({ node_id: z.number().int(), node_type: z.string(), data: z.string() });

const methods: Readonly<Record<string, Method>> = { "/get": "get", "/report": "report" };
const pages = new Set(["/", "/get", "/report"]);

const noData = new Uint8Array();

/** True if the request is DLRover's, and answered. */
export function serveHttp(desk: DlroverDesk, request: IncomingMessage, response: ServerResponse): boolean {
  const url = request.url ?? "";
  if (request.method === "GET" && pages.has(url)) {
    answer(response, 200, "Not supported");
    return true;
  }
  const method = methods[url];
  if (request.method !== "POST" || !method) return false;
  const { job_uid: jobUid = "", authorization } = request.headers;
  if (!desk.isWelcome({ jobUid: String(jobUid), authorization })) {
    request.resume();
    answer(response, 406, "Job uid is invalid");
    return true;
  }
  bodyOf(request)
    .then((body) => serve(desk, method, body, () => response.destroyed))
    .then(
      (bytes) => answer(response, 200, bytes),
      (error: unknown) => answer(response, 500, error instanceof Error ? error.message : String(error)),
    );
  return true;
}

async function serve(desk: DlroverDesk, method: Method, body: string, hasLeft: () => boolean): Promise<Buffer> {
  const { node_id: nodeId, node_type: nodeType, data } = envelope.parse(JSON.parse(body));
  const served = await desk.serve(method, { nodeId, nodeType, data: Buffer.from(data, "base64") }, hasLeft);
  if (method === "report") return writeMessage("BaseResponse", { success: served === true, data: noData });
  // As DLRover's own master has it: success says that there is nothing to read.
  return served instanceof Uint8Array ? writeMessage("BaseResponse", { success: false, data: served }) : writeMessage("BaseResponse", { success: true, data: noData });
}

async function bodyOf(request: IncomingMessage): Promise<string> {
  const bytes = await readAll(request, bodyBytesMax, () => {
    const error = new Error(`a body of more than ${bodyBytesMax} bytes`);
    request.destroy(error);
    return error;
  });
  return bytes.toString("utf8");
}

function answer(response: ServerResponse, status: number, body: Buffer | string): void {
  const type = typeof body === "string" ? "text/plain; charset=utf-8" : "application/octet-stream";
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body) });
  response.end(body);
}
