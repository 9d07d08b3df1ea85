/** DLRover's wire on the one port: gRPC and HTTP told apart by their first bytes, the uid, the token, and what is answered neutrally. */

import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { expect } from "chai";
import protobuf from "protobufjs/minimal.js";
import type { Typed } from "../../src/runtime/actor.js";
import { readMessage, writeMessage } from "../../src/wire/dlrover/message-codec.js";
import { WireFixture } from "../fixtures/wire-far-side.js";

type Peer = Typed & Readonly<{ sender: { type: string; id: number }; request: Readonly<{ type: string; pairs?: readonly [string, Uint8Array][] }> }>;

const answers: Readonly<Record<string, unknown>> = {
  "count-waiting": { count: 3 },
  "pre-check": { status: "PASS", reason: "" },
  "set-keys": { isOk: true },
};
const scripts = { "job-manager": { dlrover: ({ request }: Peer) => answers[request.type] } };

describe("master service, DLRover's wire", () => {
  let wire: WireFixture;
  const closers: (() => void)[] = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) close();
    await wire.close();
  });

  const begin = async (agents: object = {}): Promise<void> => {
    wire = await new WireFixture({ agents: { kind: "dlrover", isExternal: true, ...agents } }).start(scripts);
  };

  /** What the real grpc-js client gets: the bytes of the answer. */
  const grpc = (method: "get" | "report", pickle: Uint8Array, metadata: Readonly<Record<string, string>> = {}): Promise<Buffer> => {
    const client = new Client(wire.address, credentials.createInsecure(), { "grpc.max_send_message_length": -1, "grpc.max_receive_message_length": -1 });
    closers.push(() => client.close());
    const headers = new Metadata();
    for (const [key, value] of Object.entries(metadata)) headers.set(key, value);
    const request = Buffer.from(protobuf.Writer.create().uint32(8).int32(7).uint32(18).string("worker").uint32(26).bytes(pickle).finish());
    return new Promise((resolve, reject) => {
      const done = (error: ServiceError | null, answer?: Buffer): void => (error ? reject(error) : resolve(answer ?? Buffer.alloc(0)));
      client.makeUnaryRequest(`/elastic.Master/${method}`, (bytes: Buffer) => bytes, (bytes: Buffer) => bytes, request, headers, done);
    });
  };
  const dataOf = (answer: Buffer): Uint8Array => {
    const reader = protobuf.Reader.create(answer);
    return reader.len === 0 ? new Uint8Array() : reader.uint32() === 26 ? reader.bytes() : new Uint8Array();
  };
  /** Status and body of DLRover's HTTP. */
  const http = async (method: "get" | "report", pickle: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<readonly [number, Buffer]> => {
    const body = JSON.stringify({ node_id: 7, node_type: "worker", data: Buffer.from(pickle).toString("base64") });
    const answer = await fetch(`http://${wire.address}/${method}`, { method: "POST", headers: { "content-type": "application/json", ...headers }, body });
    return [answer.status, Buffer.from(await answer.arrayBuffer())];
  };
  const baseOf = (body: Uint8Array): Readonly<{ success: boolean; data: Uint8Array }> => {
    const message = readMessage(body);
    if (message.cls !== "BaseResponse") throw new Error(`it is a ${message.cls}`);
    return message.fields;
  };
  const open = async (): Promise<Socket> => {
    const socket = connect(wire.port, "127.0.0.1");
    closers.push(() => socket.destroy());
    await once(socket, "connect");
    return socket;
  };

  const waiting = writeMessage("WaitingNodeNumRequest", { rdzv_name: "elastic-training" });

  it("answers gRPC, DLRover's HTTP and the REST API on one port", async () => {
    await begin();
    const [overGrpc, [status, overHttp], health] = await Promise.all([grpc("get", waiting), http("get", waiting), wire.call("/healthz")]);
    const counts = [dataOf(overGrpc), baseOf(overHttp).data].map((pickle) => readMessage(pickle)).map(({ cls, fields }) => [cls, "waiting_num" in fields && fields.waiting_num]);
    expect(counts).to.deep.equal([["RendezvousState", 3], ["RendezvousState", 3]]);
    expect([status, health.status]).to.deep.equal([200, 200]);
    const asked = wire.heardBy("job-manager").filter(({ type }) => type === "dlrover") as Peer[];
    expect(asked.map(({ sender }) => sender)).to.deep.equal([{ type: "worker", id: 7 }, { type: "worker", id: 7 }]);
  });

  it("says of DLRover's paths what its own master says to a browser", async () => {
    await begin();
    for (const path of ["/", "/get", "/report"]) expect((await wire.call(path, { token: null })).text).to.equal("Not supported");
    expect((await wire.call("/", { method: "POST", raw: "{}" })).status).to.equal(404);
  });

  it("leaves connections that send nothing alone, and waits for a preface that comes in pieces", async () => {
    await begin();
    const silent = await Promise.all(Array.from({ length: 20 }, () => open()));
    const slow = await open();
    const answered = once(slow, "data") as Promise<[Buffer]>;
    for (const piece of ["P", "RI", " * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0"]) {
      slow.write(piece, "latin1");
      await wire.call("/healthz"); // By now the piece was read.
    }
    expect((await answered)[0][3], "a SETTINGS frame").to.equal(4);
    const half = await open();
    half.end("PR");
    await once(half.resume(), "close");
    expect(silent.some(({ destroyed }) => destroyed)).to.equal(false);
    expect((await wire.call("/healthz")).status).to.equal(200);
  });

  it("refuses what is neither protocol, and goes on", async () => {
    await begin();
    for (const bytes of ["\x16\x03\x01 TLS?", "PRI nonsense\r\n\r\n\r\n", "\0\0\0\0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff\xff\xff\xff\xff"]) {
      const socket = await open();
      socket.on("error", () => undefined); // It may be reset.
      socket.write(bytes, "latin1");
      await once(socket.resume(), "close");
    }
    expect(dataOf(await grpc("get", waiting))).to.have.length.above(0);
  });

  it("answers a call that is not as gRPC has it with a status that says so, and goes on", async () => {
    await begin();
    const client = connectHttp2(`http://${wire.address}`);
    closers.push(() => client.destroy());
    const call = async (body: Uint8Array, headers: Readonly<Record<string, string>> = {}): Promise<readonly (string | undefined)[]> => {
      const stream = client.request({ ":method": "POST", ":path": "/elastic.Master/get", "content-type": "application/grpc", ...headers });
      stream.end(body);
      const [head] = (await once(stream, "response")) as [Record<string, string>];
      await once(stream.resume(), "end");
      return [String(head[":status"]), head["grpc-status"], head["grpc-message"] && decodeURIComponent(head["grpc-message"])];
    };
    const framed = (bytes: Uint8Array, flag = 0, length = bytes.length): Buffer => Buffer.concat([Buffer.from([flag, 0, 0, 0, length]), bytes]);
    const message = framed(Buffer.from([8, 7]));
    expect(await call(message, { ":path": "/elastic.Master/stop" })).to.deep.equal(["200", "12", "there is no method /elastic.Master/stop"]);
    expect(await call(message, { "content-type": "application/json" })).to.deep.equal(["415", undefined, undefined]);
    expect((await call(framed(Buffer.from([8, 7]), 1)))[1]).to.equal("12");
    for (const body of [Buffer.alloc(0), Buffer.from([0, 0]), framed(Buffer.from([8, 7]), 0, 9), Buffer.concat([message, message])]) expect((await call(body))[1]).to.equal("13");
    expect((await call(framed(Buffer.from([0x1a, 100, 1]))))[1]).to.equal("3");
    expect(await call(message)).to.deep.equal(["200", undefined, undefined]);
    const left = client.request({ ":method": "POST", ":path": "/elastic.Master/get", "content-type": "application/grpc" });
    left.write(message.subarray(0, 3));
    left.close(8); // CANCEL, as a client does whose deadline is over.
    await once(left, "close");
    expect(dataOf(await grpc("get", waiting))).to.have.length.above(0);
  });

  it("takes a value of 5 MB, which DLRover's own master refuses", async () => {
    await begin();
    const pickle = writeMessage("KeyValuePair", { key: "k", value: Buffer.alloc(5_000_000, 7) });
    expect([...(await grpc("report", pickle))]).to.deep.equal([8, 1]);
    expect(baseOf((await http("report", pickle))[1]).success).to.equal(true);
    const sizes = (wire.heardBy("job-manager").filter(({ type }) => type === "dlrover") as Peer[]).flatMap(({ request }) => request.pairs?.map(([, value]) => value.length) ?? []);
    expect(sizes).to.deep.equal([5_000_000, 5_000_000]);
  });

  it("refuses the uid of another job as DLRover does, and none is none", async () => {
    await begin({ jobUid: "mine" });
    for (const uid of [{}, { job_uid: "" }, { job_uid: "mine" }]) expect(dataOf(await grpc("get", waiting, uid)), JSON.stringify(uid)).to.have.length.above(0);
    const refused = await grpc("get", waiting, { job_uid: "other" }).catch((error: unknown) => error);
    expect(refused).to.include({ code: 16, details: "Job uid is invalid" });
    expect(await grpc("report", waiting, { job_uid: "other" })).to.have.length(0);
    expect((await http("get", waiting, { job_uid: "" }))[0]).to.equal(200);
    const [status, body] = await http("get", waiting, { job_uid: "other" });
    expect([status, body.toString()]).to.deep.equal([406, "Job uid is invalid"]);
  });

  it("takes the token as authorization or as the uid where one is needed, over both", async () => {
    await begin({ needsToken: true });
    for (const given of [{ authorization: `Bearer ${wire.token}` }, { job_uid: wire.token }]) {
      expect(dataOf(await grpc("get", waiting, given))).to.have.length.above(0);
      expect((await http("get", waiting, given))[0]).to.equal(200);
    }
    for (const given of [{}, { job_uid: "x" }, { authorization: "Bearer x" }]) {
      expect(await grpc("get", waiting, given).catch((error: unknown) => (error as ServiceError).code), JSON.stringify(given)).to.equal(16);
      expect((await http("get", waiting, given))[0]).to.equal(406);
    }
  });

  it("answers neutrally what it cannot read, does not know or was not asked so, and counts it", async () => {
    await begin();
    const global = (name: string): Buffer => Buffer.from(`\x80\x03cdlrover.python.common.comm\n${name}\n)\x81.`, "latin1");
    const misfits = [Buffer.alloc(0), Buffer.from("cos\nsystem\n(S'true'\ntR.", "latin1"), global("RdzvBlocked"), writeMessage("GlobalStep")];
    for (const pickle of misfits) {
      expect(dataOf(await grpc("get", pickle))).to.have.length(0);
      const { success, data } = baseOf((await http("get", pickle))[1]);
      expect([success, data.length]).to.deep.equal([true, 0]);
    }
    expect(await grpc("report", writeMessage("HeartBeat"))).to.have.length(0);
    expect(baseOf((await http("report", writeMessage("HeartBeat")))[1]).success).to.equal(false);
    const { body } = await wire.call("/api/v1/job");
    const counted = (body as { dlrover: { misfits: { kind: string; cls: string; count: number }[] } }).dlrover.misfits.map(({ kind, cls, count }) => `${kind} ${cls} ${count}`);
    expect(counted).to.have.members(["undecodable  2", "unknown system 2", "unknown RdzvBlocked 2", "wrong-method GlobalStep 2", "wrong-method HeartBeat 2"]);
    const asked = wire.call("/metrics");
    while (!wire.heardBy("state-backend").some(({ type }) => type === "inspect")) await wire.system.settle();
    await wire.system.advance(3_000); // The scripted components leave some parts out.
    const { text } = await asked;
    expect(text).to.include('drover_dlrover_misfits_total{kind="wrong-method",class="HeartBeat"} 2');
  });

  it("answers an unknown rendezvous with an empty one, not with an error", async () => {
    await begin();
    const [status, body] = await http("get", writeMessage("CommWorldRequest", { rdzv_name: "x" }));
    expect(status).to.equal(200);
    expect(readMessage(baseOf(body).data).cls).to.equal("RendezvousState");
  });
});
