/** What agents say to the Master Service, and what the Job Manager hears of it. */

import { expect } from "chai";
import { request } from "node:http";
import { desiredAnswer, registerAnswer } from "../../src/wire/agent-api.js";
import { held, WireFixture } from "../fixtures/wire-far-side.js";

const facts = {
  host: "h0",
  address: "127.0.0.1",
  cpus: 2,
  memoryBytes: 1,
  gpus: 0,
  pythonVersion: null,
  entrypointProblem: null,
  diskFreeBytes: 1,
  sharedMemoryBytes: 1,
  openFilesMax: 1,
  clockMs: 1,
  canBindPorts: true,
};
const rank = {
  token: "t",
  localRank: 0,
  round: 1,
  pid: 7,
  state: "exited",
  exitCode: 1,
  signal: null,
  isOutOfMemory: false,
  errorText: "boom",
  exitedAtMs: 5,
};
const desired = { revision: 4, phase: "wait", round: 0, assignment: null, graceMs: 0, probes: [{ id: "p", kind: "stacks" }] };
const registered = { ok: true, spec: { name: "digits" }, role: "worker", nodeRank: 0, heartbeatIntervalMs: 5_000 };
const stale = { ok: false, code: "STALE_AGENT", message: "another life of this agent has registered" };

describe("master service, towards agents", () => {
  let wire: WireFixture;
  afterEach(() => wire.close());

  it("passes a registration on as it was said, and the answer back", async () => {
    wire = await new WireFixture().start({ "job-manager": { "register-agent": registered } });
    const body = { agentId: "a1", agentPid: 11, facts, ranks: [rank] };
    const answer = await wire.call("/api/v1/agents/n0/register", { body });
    expect(answer.status).to.equal(200);
    expect(answer.body).to.deep.equal(registered);
    expect(registerAnswer.parse(answer.body)).to.deep.equal(answer.body);
    expect(wire.heardBy("job-manager")).to.deep.equal([{ type: "register-agent", node: "n0", ...body }]);
  });

  it("passes on joins, ranks, progress and probes", async () => {
    const done = { ok: true };
    const script = { "join-round": done, "report-ranks": done, "report-progress": done, "report-probe": done };
    wire = await new WireFixture().start({ "job-manager": script });
    const progress = { rank: 0, localRank: 0, round: 1, step: 3, loss: "nan", samples: 9, checkpointStep: null, cpuCores: 1, memoryBytes: 2, atMs: 3 };
    const sent = [
      ["join", { agentId: "a1", round: 1, nproc: 2, storeHost: "127.0.0.1", storePort: 4000 }],
      ["ranks", { agentId: "a1", ranks: [rank] }],
      ["progress", { agentId: "a1", ranks: [progress] }],
      ["probe", { agentId: "a1", probe: "p", text: "stacks" }],
    ] as const;
    for (const [path, body] of sent) {
      const answer = await wire.call(`/api/v1/agents/n%2F0/${path}`, { body });
      expect([path, answer.status, answer.body]).to.deep.equal([path, 200, done]);
    }
    const types = ["join-round", "report-ranks", "report-progress", "report-probe"];
    const expected = sent.map(([, body], index) => ({ type: types[index], node: "n/0", ...body }));
    expect(wire.heardBy("job-manager")).to.deep.equal(expected);
  });

  it("gives refusals of the job to agents as answers: status 200, ok false", async () => {
    wire = await new WireFixture().start({ "job-manager": { "report-ranks": stale } });
    const answer = await wire.call("/api/v1/agents/n0/ranks", { body: { agentId: "a1", ranks: [] } });
    expect([answer.status, answer.body]).to.deep.equal([200, stale]);
  });

  it("answers a poll with the desired state", async () => {
    wire = await new WireFixture().start({ "job-manager": { "await-desired": { ok: true, desired } } });
    const answer = await wire.call("/api/v1/agents/n0/desired?agentId=a1&revision=3&waitMs=500");
    expect(answer.body).to.deep.equal({ ok: true, desired });
    expect(desiredAnswer.parse(answer.body)).to.deep.equal(answer.body);
    expect(wire.heardBy("job-manager")).to.deep.equal([{ type: "await-desired", node: "n0", agentId: "a1", revision: 3, waitMs: 500 }]);
  });

  it("tells the Job Manager when the socket of a pending poll closes, and of no other", async () => {
    const script = { "await-desired": (message: { type: string; node?: string }) => (message.node === "n0" ? held : { ok: true, desired }) };
    wire = await new WireFixture().start({ "job-manager": script });
    await wire.call("/api/v1/agents/n1/desired?agentId=a2&revision=3", { headers: { connection: "close" } });
    const headers = { authorization: `Bearer ${wire.token}` };
    const poll = request({ host: "127.0.0.1", port: wire.port, path: "/api/v1/agents/n0/desired?agentId=a1&revision=4", headers });
    poll.on("error", () => undefined); // It is cut off on purpose.
    poll.end();
    while (wire.heardBy("job-manager").length < 2) await wire.system.settle();
    poll.destroy();
    while (wire.heardBy("job-manager").length < 3) await wire.system.settle();
    expect(wire.heardBy("job-manager")[2]).to.deep.equal({ type: "agent-disconnected", node: "n0", agentId: "a1" });
  });

  it("does not take its own end for the end of an agent (P2)", async () => {
    wire = await new WireFixture().start({ "job-manager": { "await-desired": held } });
    const poll = wire.call("/api/v1/agents/n0/desired?agentId=a1&revision=4").catch(() => "cut off");
    while (wire.heardBy("job-manager").length < 1) await wire.system.settle();
    await wire.system.restart("master-service");
    expect(await poll).to.equal("cut off");
    await wire.system.settle();
    expect(wire.heardBy("job-manager").map(({ type }) => type)).to.deep.equal(["await-desired"]);
  });
});
