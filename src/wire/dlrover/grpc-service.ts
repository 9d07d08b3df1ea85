/**
 * DLRover's gRPC service, `elastic.Master`: two methods whose messages carry a pickle. grpc-js does the protocol, protobufjs the fields.
 *
 * proto3: Message { int32 node_id = 1; string node_type = 2; bytes data = 3; }, Response { bool success = 1; string reason = 2; }
 */

import type { Duplex } from "node:stream";
import { Server, ServerCredentials, status, type handleUnaryCall, type ServiceDefinition } from "@grpc/grpc-js";
import protobuf from "protobufjs/minimal.js";
import type { DlroverDesk, Envelope } from "./dlrover-desk.js";
import type { Method } from "./row.js";

const { Reader, Writer } = protobuf;

/** As DLRover's clients are set; its own master's 4 MiB refuse what they send. */
const bytesMax = 256 * 1024 * 1024;

const serviceName = "elastic.Master";

function readEnvelope(bytes: Buffer): Envelope {
  const reader = Reader.create(bytes);
  let [nodeId, nodeType, data]: [number, string, Uint8Array] = [0, "", new Uint8Array()];
  while (reader.pos < reader.len) {
    const tag = reader.uint32();
    if (tag === 8) nodeId = reader.int32();
    else if (tag === 18) nodeType = reader.string();
    else if (tag === 26) data = reader.bytes();
    else reader.skipType(tag & 7);
  }
  return { nodeId, nodeType, data };
}

function writeEnvelope({ data }: Pick<Envelope, "data">): Buffer {
  if (data.length === 0) return Buffer.alloc(0);
  return Buffer.from(Writer.create().uint32(26).bytes(data).finish());
}

function writeResponse({ success }: Readonly<{ success: boolean }>): Buffer {
  return success ? Buffer.from([8, 1]) : Buffer.alloc(0); // proto3 leaves a false out.
}

const method = (name: Method) => ({
  path: `/${serviceName}/${name}`,
  requestStream: false as const,
  responseStream: false as const,
  requestSerialize: writeEnvelope,
  requestDeserialize: readEnvelope,
  responseSerialize: name === "get" ? writeEnvelope : writeResponse,
  responseDeserialize: (bytes: Buffer) => bytes,
});

const definition = { get: method("get"), report: method("report") } as ServiceDefinition;

const noAnswer = { data: new Uint8Array() };

export class GrpcService {
  readonly #server = new Server({ "grpc.max_receive_message_length": bytesMax, "grpc.max_send_message_length": bytesMax, "grpc.enable_channelz": 0 });
  readonly #injector = this.#server.createConnectionInjector(ServerCredentials.createInsecure());

  constructor(desk: DlroverDesk) {
    this.#server.addService(definition, { get: handler(desk, "get"), report: handler(desk, "report") });
  }

  /** Speaks gRPC on a connection; what was read from it already must have been put back. */
  take(connection: Duplex): void {
    this.#injector.injectConnection(connection);
  }

  /** Ends every connection. */
  close(): void {
    this.#injector.destroy();
    this.#server.forceShutdown();
  }
}

type Answer = Pick<Envelope, "data"> | Readonly<{ success: boolean }>;

function handler(desk: DlroverDesk, name: Method): handleUnaryCall<Envelope, Answer> {
  return (call, callback) => {
    const [jobUid, authorization] = ["job_uid", "authorization"].map((key) => call.metadata.get(key)[0]?.toString());
    if (!desk.isWelcome({ jobUid: jobUid ?? "", authorization })) {
      if (name === "report") callback(null, { success: false });
      else callback({ code: status.UNAUTHENTICATED, details: "Job uid is invalid" });
      return;
    }
    desk.serve(name, call.request, () => call.cancelled).then(
      (answer) => callback(null, name === "report" ? { success: answer === true } : answer instanceof Uint8Array ? { data: answer } : noAnswer),
      (error: unknown) => callback({ code: status.UNAVAILABLE, details: error instanceof Error ? error.message : String(error) }),
    );
  };
}
