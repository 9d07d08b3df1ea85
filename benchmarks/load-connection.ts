/**
 * The lightest honest client of DLRover's wire: requests encoded before they are needed, one socket, hand-made HTTP/1.1 or HTTP/2.
 *
 * - C1  A call counts as answered only when its answer is whole: status 200 and the whole body over HTTP; over gRPC a message that
 *       is not empty before the trailers (a call that failed has trailers alone, a neutral answer and a "no" are an empty message).
 * - C2  Windows of HTTP/2 are kept: what the server may not be sent yet waits. What the server may send is as good as unbounded.
 */

import { connect, type Socket } from "node:net";

export type Transport = "grpc" | "http";
export type Method = "get" | "report";
export type Connection = { call(method: Method, request: Buffer): Promise<Buffer>; close(): void };

/** A protobuf varint. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  for (let rest = BigInt.asUintN(64, BigInt(value)); ; rest >>= 7n) {
    const low = Number(rest & 0x7fn);
    if (rest < 0x80n) return Buffer.from([...bytes, low]);
    bytes.push(low | 0x80);
  }
}

function field(tag: number, value: Buffer): Buffer {
  return Buffer.concat([Buffer.from([tag]), varint(value.length), value]);
}

/** The bytes of one request, for `Connection.call`, as often as wanted. */
export function encodeRequest(transport: Transport, method: Method, nodeId: number, pickle: Buffer): Buffer {
  if (transport === "http") {
    const body = JSON.stringify({ node_id: nodeId, node_type: "worker", data: pickle.toString("base64") });
    const head = [
      `POST /${method} HTTP/1.1`,
      "Host: localhost",
      "Content-Type: application/json",
      "Accept: application/json",
      "job_uid: ",
      `Content-Length: ${body.length}`,
    ];
    return Buffer.from(`${head.join("\r\n")}\r\n\r\n${body}`);
  }
  const id = nodeId === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x08]), varint(nodeId)]);
  const message = Buffer.concat([id, field(0x12, Buffer.from("worker")), field(0x1a, pickle)]);
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** `data` of an answer to `get`: the pickle over gRPC, the pickle of a BaseResponse over HTTP. */
export function pickleOf(transport: Transport, answer: Buffer): Buffer {
  if (transport === "http") return answer;
  for (let at = 5; at < answer.length; ) {
    const tag = answer[at++] ?? 0;
    let length = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = answer[at++] ?? 0;
      length += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    if ((tag & 7) === 0) continue; // A number: its varint is read.
    if (tag === 0x1a) return answer.subarray(at, at + length);
    at += length;
  }
  return Buffer.alloc(0);
}

export function openConnection(transport: Transport, port: number): Promise<Connection> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: "127.0.0.1", port, noDelay: true });
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(transport === "http" ? new HttpConnection(socket) : new GrpcConnection(socket));
    });
  });
}

type Waiting = { resolve: (answer: Buffer) => void; reject: (error: Error) => void };

/** One call at a time. */
class HttpConnection implements Connection {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #waiting: Waiting | null = null;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on("data", (data) => this.#read(data));
    const fail = (): void => this.#waiting?.reject(new Error("the connection ended"));
    socket.on("error", fail);
    socket.on("close", fail);
  }

  call(_method: Method, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error("the connection is closed"));
      this.#waiting = { resolve, reject };
      this.#socket.write(request);
    });
  }

  #read(data: Buffer): void {
    this.#buffer = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
    const end = this.#buffer.indexOf("\r\n\r\n");
    if (end < 0) return;
    const head = this.#buffer.toString("latin1", 0, end);
    const length = Number(/content-length: (\d+)/i.exec(head)?.[1]);
    if (Number.isNaN(length)) return void this.#socket.destroy(new Error("an answer without its length"));
    if (this.#buffer.length < end + 4 + length) return;
    const body = this.#buffer.subarray(end + 4, end + 4 + length);
    this.#buffer = Buffer.alloc(0);
    const waiting = this.#waiting;
    this.#waiting = null;
    if (head.startsWith("HTTP/1.1 200")) waiting?.resolve(body); // C1
    else waiting?.reject(new Error(`${head.slice(0, 30)} ${body.toString().slice(0, 200)}`));
  }

  close(): void {
    this.#socket.destroy();
  }
}

const frame = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goAway: 7, windowUpdate: 8 } as const;
const endOfStream = 1;
const endOfHeaders = 4;
const windowMax = 2 ** 31 - 1;

function frameOf(type: number, flags: number, stream: number, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(9 + payload.length);
  bytes.writeUIntBE(payload.length, 0, 3);
  bytes.writeUInt8(type, 3);
  bytes.writeUInt8(flags, 4);
  bytes.writeUInt32BE(stream, 5);
  payload.copy(bytes, 9);
  return bytes;
}

/** HPACK: literals without indexing, so that nothing is to be remembered. */
function headersOf(method: Method): Buffer {
  const literal = (name: number | string, value: string): Buffer => {
    const text = (of: string): Buffer => Buffer.concat([Buffer.from([of.length]), Buffer.from(of)]);
    if (typeof name === "string") return Buffer.concat([Buffer.from([0]), text(name), text(value)]);
    const index = name < 15 ? [name] : [15, name - 15];
    return Buffer.concat([Buffer.from(index), text(value)]);
  };
  const [authority, path, contentType, userAgent] = [1, 4, 31, 58];
  return Buffer.concat([
    Buffer.from([0x83, 0x86]), // POST, http
    literal(path, `/elastic.Master/${method}`),
    literal(authority, "localhost"),
    literal("te", "trailers"),
    literal(contentType, "application/grpc"),
    literal(userAgent, "grpc-python/1.85.1"),
    literal("job_uid", ""),
  ]);
}

const headers = { get: headersOf("get"), report: headersOf("report") };

type Call = Waiting & { parts: Buffer[] };

/** As many calls at a time as wanted. */
class GrpcConnection implements Connection {
  readonly #socket: Socket;
  #buffer: Buffer = Buffer.alloc(0);
  #nextStream = 1;
  #window = 65_535;
  #held: { bytes: Buffer; cost: number }[] = [];
  readonly #calls = new Map<number, Call>();

  constructor(socket: Socket) {
    this.#socket = socket;
    const settings = Buffer.alloc(6);
    settings.writeUInt16BE(4, 0); // Initial window of each stream.
    settings.writeUInt32BE(windowMax, 2);
    const more = Buffer.alloc(4);
    more.writeUInt32BE(windowMax - 65_535);
    socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), frameOf(frame.settings, 0, 0, settings), frameOf(frame.windowUpdate, 0, 0, more)]));
    socket.on("data", (data) => this.#read(data));
    const fail = (): void => {
      for (const call of this.#calls.values()) call.reject(new Error("the connection ended"));
      this.#calls.clear();
    };
    socket.on("error", fail);
    socket.on("close", fail);
  }

  call(method: Method, request: Buffer): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) return reject(new Error("the connection is closed"));
      const stream = this.#nextStream;
      this.#nextStream += 2;
      this.#calls.set(stream, { resolve, reject, parts: [] });
      const bytes = Buffer.concat([frameOf(frame.headers, endOfHeaders, stream, headers[method]), ...this.#dataFrames(stream, request)]);
      this.#held.push({ bytes, cost: request.length });
      this.#flush();
    });
  }

  #dataFrames(stream: number, request: Buffer): Buffer[] {
    const frames: Buffer[] = [];
    for (let at = 0; at < request.length; at += 16_384) {
      const part = request.subarray(at, at + 16_384);
      frames.push(frameOf(frame.data, at + part.length === request.length ? endOfStream : 0, stream, part));
    }
    return frames;
  }

  /** C2: a request larger than the first window of a stream is never sent here. */
  #flush(): void {
    for (let next = this.#held[0]; next && next.cost <= this.#window; next = this.#held[0]) {
      this.#held.shift();
      this.#window -= next.cost;
      this.#socket.write(next.bytes);
    }
  }

  #read(data: Buffer): void {
    let all = this.#buffer.length === 0 ? data : Buffer.concat([this.#buffer, data]);
    while (all.length >= 9) {
      const length = all.readUIntBE(0, 3);
      if (all.length < 9 + length) break;
      this.#frame(all[3] ?? 0, all[4] ?? 0, all.readUInt32BE(5) & windowMax, all.subarray(9, 9 + length));
      all = all.subarray(9 + length);
    }
    this.#buffer = all;
  }

  #frame(type: number, flags: number, stream: number, payload: Buffer): void {
    if (type === frame.settings && flags === 0) this.#socket.write(frameOf(frame.settings, 1, 0, Buffer.alloc(0)));
    if (type === frame.ping && flags === 0) this.#socket.write(frameOf(frame.ping, 1, 0, payload));
    if (type === frame.windowUpdate && stream === 0) {
      this.#window += payload.readUInt32BE(0);
      this.#flush();
    }
    const call = this.#calls.get(stream);
    if (!call) return;
    if (type === frame.data) call.parts.push(payload);
    if (type !== frame.reset && (flags & endOfStream) === 0) return;
    if (type !== frame.headers && type !== frame.data && type !== frame.reset) return;
    this.#calls.delete(stream);
    const size = call.parts.reduce((sum, part) => sum + part.length, 0);
    if (size <= 5 || type === frame.reset) call.reject(new Error(`a call that failed: ${payload.toString("latin1").slice(0, 200)}`)); // C1
    else call.resolve(call.parts.length === 1 ? (call.parts[0] as Buffer) : Buffer.concat(call.parts));
  }

  close(): void {
    this.#socket.destroy();
  }
}
