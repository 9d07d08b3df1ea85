/** The bounds of the one port (W3, F2), and the token that opens it. */

import { once } from "node:events";
import { readFileSync, statSync, writeFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { expect } from "chai";
import { BoundaryError } from "../../src/base/errors.js";
import { errorBody } from "../../src/wire/http-error.js";
import { tokenIn } from "../../src/wire/token.js";
import { codeOf, WireFixture } from "../fixtures/wire-far-side.js";

describe("master service, its bounds", () => {
  let wire: WireFixture;
  const sockets: Socket[] = [];
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await wire.close();
  });

  async function open(): Promise<Socket> {
    const socket = connect(wire.port, "127.0.0.1");
    sockets.push(socket);
    await once(socket, "connect");
    return socket;
  }

  async function textOf(socket: Socket): Promise<string> {
    let text = "";
    for await (const chunk of socket) text += String(chunk);
    return text;
  }

  it("answers a request on one connection too many with its code, and serves again when one is closed (F2)", async () => {
    wire = await new WireFixture({ limits: { connectionsMax: 2 } }).start();
    const [first] = [await open(), await open()];
    const refused = await wire.call("/healthz", { headers: { connection: "keep-alive" } });
    expect([refused.status, codeOf(refused)]).to.deep.equal([503, "TOO_MANY_CONNECTIONS"]);
    expect(errorBody.parse(refused.body)).to.deep.equal(refused.body);
    expect(refused.headers).to.include({ "retry-after": "1", connection: "close" });
    first.destroy();
    while ((await wire.call("/healthz")).status !== 200) await wire.system.settle();
  });

  it("closes at once what comes far beyond", async () => {
    wire = await new WireFixture({ limits: { connectionsMax: 1 } }).start();
    for (let count = 0; count < 257; count++) await open();
    expect(await textOf(await open())).to.equal("");
  });

  it("ends a request whose body does not come in time", async () => {
    wire = await new WireFixture({ limits: { headersTimeoutMs: 200, requestTimeoutMs: 300 } }).start();
    const socket = await open();
    const head = ["POST /api/v1/job/stop HTTP/1.1", "Host: x", `Authorization: Bearer ${wire.token}`, "Content-Type: application/json", "Content-Length: 9"];
    socket.write(`${head.join("\r\n")}\r\n\r\n{"b`);
    expect(await textOf(socket)).to.match(/^HTTP\/1.1 408 [^]*REQUEST_TIMEOUT/);
  });

  it("keeps each route's own bound of the body", async () => {
    wire = await new WireFixture().start({ "task-manager": { "restore-dataset": { ok: true } } });
    const raw = JSON.stringify({ content: "x".repeat(2 * 1024 * 1024) });
    expect((await wire.call("/api/v1/datasets/rows/checkpoint", { method: "PUT", raw })).status).to.equal(200);
    expect(codeOf(await wire.call("/api/v1/datasets/rows/extend", { raw }))).to.equal("BODY_TOO_LARGE");
  });

  it("counts requests of who has no token too", async () => {
    wire = await new WireFixture({ limits: { requestsPerSecondMax: 1 } }).start();
    const codes = [];
    for (let count = 0; count < 11; count++) codes.push(codeOf(await wire.call("/api/v1/job", { token: null })));
    expect(new Set(codes.slice(0, 10))).to.deep.equal(new Set(["UNAUTHORIZED"]));
    expect(codes[10]).to.equal("RATE_LIMITED");
  });

  it("makes a token for its user alone, once", async () => {
    wire = await new WireFixture().start();
    const { token } = wire;
    expect(token).to.match(/^[A-Za-z0-9_-]{43}$/);
    expect(statSync(wire.tokenPath).mode & 0o777).to.equal(0o600);
    await wire.system.restart("master-service");
    expect(wire.token).to.equal(token);
  });

  it("wants the token for everything but health", async () => {
    wire = await new WireFixture().start();
    const { paths } = (await wire.call("/api/v1/openapi.json")).body as { paths: Record<string, Record<string, unknown>> };
    for (const [path, methods] of Object.entries(paths)) {
      for (const method of Object.keys(methods)) {
        const { status } = await wire.call(path.replace(/\{\w+\}/g, "1"), { method: method.toUpperCase(), token: null });
        expect(status, `${method} ${path}`).to.equal(path === "/healthz" || path === "/readyz" ? 200 : 401);
      }
    }
  });

  it("does not take just anything for a token, and leaves it as it is", () => {
    wire = new WireFixture();
    const path = join(wire.dir, "other");
    writeFileSync(path, "hello");
    expect(() => tokenIn(path)).to.throw(BoundaryError).with.property("code", "BAD_TOKEN");
    expect(readFileSync(path, "utf8")).to.equal("hello");
  });
});
