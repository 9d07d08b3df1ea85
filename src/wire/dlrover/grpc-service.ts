/**
 * DLRover's gRPC service, `elastic.Master`: two methods whose messages carry a pickle. Node's http2 does the streams and protobufjs the fields; what
 * gRPC puts between them for calls of one message each way is little, and is here (docs/decisions/0008; its specification is PROTOCOL-HTTP2.md in grpc/grpc).
 *
 * - U1  A message is a byte that says whether it is compressed, four with its length, high byte first, and its bytes. No compression is offered, and
 *       a compressed message refused.
 * - U2  Every call that is gRPC is answered with status 200 and, in the trailers, how it went. One without a message is answered by headers alone.
 * - U3  A client that is late ends its own call (`hasLeft`): there is no second clock for its deadline here.
 *
 * proto3: Message { int32 node_id = 1; string node_type = 2; bytes data = 3; }, Response { bool success = 1; string reason = 2; }
 */

import { constants, createServer, type IncomingHttpHeaders, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import protobuf from "protobufjs/minimal.js";
import type { DlroverDesk, Envelope } from "./dlrover-desk.js";
import { readAll } from "./read-all.js";
import type { Method } from "./row.js";

const { Reader, Writer } = protobuf;

/** Bytes of a message, as DLRover's clients are set; its own master's 4 MiB refuse what they send. */
const bytesMax = 256 * 1024 * 1024;

/** As gRPC numbers them. */
const status = { ok: 0, invalidArgument: 3, resourceExhausted: 8, unimplemented: 12, internal: 13, unavailable: 14, unauthenticated: 16 } as const;

const methods: Readonly<Record<string, Method>> = { "/elastic.Master/get": "get", "/elastic.Master/report": "report" };

class CallError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export class GrpcService {
  // What is under way of one client is bounded by the size of a message; Node's own bound would end its connection at 10 MB.
  readonly #server = createServer({ maxSessionMemory: Number.MAX_SAFE_INTEGER });
  readonly #sessions = new Set<ServerHttp2Session>();

  constructor(desk: DlroverDesk) {
    this.#server.on("session", (session) => {
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
    });
    this.#server.on("stream", (stream, headers) => serveCall(desk, stream, headers));
  }

  /** Speaks gRPC on a connection; what was read from it already must have been put back. */
  take(connection: Duplex): void {
    this.#server.emit("connection", connection);
  }

  /** Ends every connection. */
  close(): void {
    for (const session of this.#sessions) session.destroy();
  }
}

function serveCall(desk: DlroverDesk, stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void {
  stream.on("error", () => undefined); // It was reset, or its connection broke: nobody is left to be told.
  if (headers["content-type"]?.startsWith("application/grpc") !== true) {
    stream.respond({ ":status": constants.HTTP_STATUS_UNSUPPORTED_MEDIA_TYPE }, { endStream: true });
    stream.resume();
    return;
  }
  const method = methods[headers[":path"] ?? ""];
  const { job_uid: jobUid = "", authorization } = headers;
  const isWelcome = desk.isWelcome({ jobUid: String(jobUid), authorization });
  if (method && (isWelcome || method === "report")) {
    readMessage(stream)
      .then((bytes) => (isWelcome ? desk.serve(method, readEnvelope(bytes), () => isLeft(stream)) : false))
      .then((answer) => end(stream, answer instanceof Uint8Array ? dataMessage(answer) : answer === true ? success : nothing))
      .catch((error: unknown) => fail(stream, error));
    return;
  }
  fail(stream, method ? new CallError(status.unauthenticated, "Job uid is invalid") : new CallError(status.unimplemented, `there is no method ${headers[":path"] ?? ""}`));
  stream.resume();
}

/** U1: the bytes of the one message of a call. */
async function readMessage(stream: ServerHttp2Stream): Promise<Buffer> {
  const bytes = await readAll(stream, prefixBytes + bytesMax, () => new CallError(status.resourceExhausted, `a message has at most ${bytesMax} bytes`));
  const size = bytes.length - prefixBytes;
  if (size < 0 || bytes.readUInt32BE(1) !== size) throw new CallError(status.internal, "a call has one message, of the length that it says");
  if (bytes[0] !== 0) throw new CallError(status.unimplemented, "messages that are compressed are not read here");
  return bytes.subarray(prefixBytes);
}

const prefixBytes = 5;

function readEnvelope(bytes: Buffer): Envelope {
  const reader = Reader.create(bytes);
  let [nodeId, nodeType, data]: [number, string, Uint8Array] = [0, "", new Uint8Array()];
  try {
    while (reader.pos < reader.len) {
      const tag = reader.uint32();
      if (tag === 8) nodeId = reader.int32();
      else if (tag === 18) nodeType = reader.string();
      else if (tag === 26) data = reader.bytes();
      else reader.skipType(tag & 7);
    }
  } catch (error) {
    throw new CallError(status.invalidArgument, `not a message of elastic.Master: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { nodeId, nodeType, data };
}

function messageOf(fields: Uint8Array): Buffer {
  const message = Buffer.allocUnsafe(prefixBytes + fields.length);
  message[0] = 0;
  message.writeUInt32BE(fields.length, 1);
  message.set(fields, prefixBytes);
  return message;
}

function dataMessage(data: Uint8Array): Buffer {
  return data.length === 0 ? nothing : messageOf(Writer.create().uint32(26).bytes(data).finish());
}

/** proto3 leaves out what is empty or false. */
const nothing = messageOf(new Uint8Array());
const success = messageOf(Uint8Array.of(8, 1));

const head = { ":status": constants.HTTP_STATUS_OK, "content-type": "application/grpc" };
const ok = { "grpc-status": status.ok };

function isLeft(stream: ServerHttp2Stream): boolean {
  return stream.destroyed || stream.closed;
}

function end(stream: ServerHttp2Stream, message: Buffer): void {
  if (isLeft(stream)) return;
  stream.respond(head, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers(ok));
  stream.end(message);
}

/** U2. */
function fail(stream: ServerHttp2Stream, error: unknown): void {
  if (isLeft(stream)) return;
  const text = error instanceof Error ? error.message : String(error);
  const code = error instanceof CallError ? error.code : status.unavailable; // D2 of the desk: nobody could be asked.
  stream.respond({ ...head, "grpc-status": code, "grpc-message": encodeURIComponent(text) }, { endStream: true });
}
