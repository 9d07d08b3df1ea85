/** What people ask of the job, over HTTP and through the client. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { jobAnswer } from "../../src/wire/job-api.js";
import { WireClient } from "../../src/wire/client.js";
import { Metrics } from "../../src/wire/metrics.js";
import { BoundaryError } from "../../src/base/errors.js";
import { masterService } from "../../actors/protocol/refs.js";
import { quietWorld, WireFixture } from "../fixtures/wire-far-side.js";

const node = {
  id: "n0",
  role: "worker",
  nodeRank: 0,
  host: "h0",
  agentPid: 12,
  state: "running",
  restarts: 1,
  groupRank: 0,
  lastHeartbeatMs: 5,
  cpuCores: 1.5,
  memoryBytes: 2 ** 30,
  gpus: [{ index: 0, totalMib: 81_559, usedMib: 1_024, utilization: 37 }],
};
const rank = {
  rank: 0,
  localRank: 0,
  node: "n0",
  host: "h0",
  pid: 13,
  incarnation: 2,
  state: "running",
  step: 40,
  loss: "nan",
  samplesPerSecond: 8,
  cpuCores: 1,
  memoryBytes: 100,
};
const world = { ...quietWorld, round: 2, worldSize: 1, nodes: [node], ranks: [rank], step: 40, loss: "nan", samplesPerSecond: 8, goodput: 0.9 };

describe("master service, the job", () => {
  let wire: WireFixture;
  let client: WireClient;
  const begin = async (scripts: Parameters<WireFixture["start"]>[0] = {}): Promise<void> => {
    wire = await new WireFixture().start({ "job-manager": { "get-world": world }, ...scripts });
    client = new WireClient({ address: wire.address, token: wire.token, patienceMs: 0 });
  };
  afterEach(async () => {
    client.close();
    await wire.close();
  });

  it("shows the job with its master, nodes and ranks", async () => {
    await begin();
    const answer = await wire.call("/api/v1/job");
    expect(jobAnswer.parse(answer.body)).to.deep.equal(answer.body);
    expect(answer.body).to.deep.equal({
      ...world,
      job: "digits",
      stage: "running",
      reason: null,
      createdAtMs: 1,
      endedAtMs: null,
      master: { pid: process.pid, address: wire.address, restarts: 2 },
    });
    expect(await client.status()).to.deep.equal(answer.body);
  });

  it("passes on stop, pause, resume and scale", async () => {
    const done = { ok: true };
    const orchestrator = { "stop-job": done, "pause-job": done, "resume-job": done };
    await begin({ "master-orchestrator": orchestrator, "job-auto-scaler": { "scale-job": { ok: true, from: 1, to: 3 } } });
    await client.stop("enough", true);
    await client.pause("lunch");
    await client.resume();
    expect(await client.scale(3, "more hosts")).to.deep.equal({ ok: true, from: 1, to: 3 });
    expect(wire.heardBy("master-orchestrator")).to.deep.equal([
      { type: "stop-job", because: "enough", isKill: true },
      { type: "pause-job", because: "lunch" },
      { type: "resume-job" },
    ]);
    expect(wire.heardBy("job-auto-scaler")).to.deep.equal([{ type: "scale-job", nodes: 3, because: "more hosts" }]);
  });

  it("throws a refusal of the job at the client's caller, with its code", async () => {
    await begin({ "master-orchestrator": { "pause-job": { ok: false, code: "NOT_RUNNING", message: "the job is stopping" } } });
    const refused = await client.pause("now").catch((error: unknown) => error);
    expect(refused).to.be.instanceOf(BoundaryError).and.include({ code: "NOT_RUNNING", message: "the job is stopping" });
  });

  it("carries a command out once, however often it is sent with the same X-Request-Id", async () => {
    await begin({ "master-orchestrator": { "stop-job": { ok: true } } });
    const headers = { "x-request-id": "abc" };
    for (let time = 0; time < 3; time++) await wire.call("/api/v1/job/stop", { body: {}, headers });
    await wire.call("/api/v1/job/stop", { body: {}, headers: { "x-request-id": "abd" } });
    expect(wire.heardBy("master-orchestrator")).to.have.length(2);
  });

  it("does not take the same id on another path for the same request", async () => {
    await begin({ "master-orchestrator": { "stop-job": { ok: true }, "pause-job": { ok: true } } });
    const headers = { "x-request-id": "abc" };
    await wire.call("/api/v1/job/stop", { body: {}, headers });
    await wire.call("/api/v1/job/pause", { body: {}, headers });
    expect(wire.heardBy("master-orchestrator").map(({ type }) => type)).to.deep.equal(["stop-job", "pause-job"]);
  });

  it("is ready once the components answer, and healthy before", async () => {
    await begin();
    expect((await wire.call("/healthz", { token: null })).body).to.deep.equal({ ok: true });
    expect((await wire.call("/readyz", { token: null })).body).to.deep.equal({ ok: true, stage: "running" });
    expect(await client.isReady()).to.equal(true);
  });

  it("names what is wrong with a request: the field, its value, what is allowed", async () => {
    await begin();
    const { body } = await wire.call("/api/v1/job/scale", { body: { nodes: 20_000 } });
    const { error } = body as { error: { message: string; details: object } };
    expect(error.message).to.equal("body.nodes is 20000: Too big: expected number to be <=10000");
    expect(error.details).to.include({ path: "body.nodes", value: "20000" });
  });

  it("shows its document, with every route and its answers, to who has the token", async () => {
    await begin();
    const { body } = await wire.call("/api/v1/openapi.json");
    const { paths } = body as { paths: Record<string, Record<string, { security?: unknown; responses: object }>> };
    expect(paths).to.have.property("/api/v1/agents/{node}/desired");
    expect(Object.values(paths).flatMap((path) => Object.keys(path))).to.have.length(26);
    for (const [path, methods] of Object.entries(paths)) {
      for (const { security, responses } of Object.values(methods)) {
        expect(security === undefined, path).to.equal(path === "/healthz" || path === "/readyz");
        expect(responses).to.have.all.keys("200", "default");
      }
    }
  });

  it("has every route and every metric in docs/api.md", async () => {
    await begin();
    const page = readFileSync(fileURLToPath(new URL("../../../docs/api.md", import.meta.url)), "utf8");
    const { paths } = (await wire.call("/api/v1/openapi.json")).body as { paths: Record<string, object> };
    const routes = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`));
    const metrics = new Metrics().registry.getMetricsAsArray().map(({ name }) => name);
    for (const name of [...routes, ...metrics]) expect(page).to.include(`\`${name}\``);
    for (const [, route = ""] of page.matchAll(/`((?:GET|POST|PUT) \/[^`]*)`/g)) expect(routes).to.include(route);
    for (const [, metric = ""] of page.matchAll(/`((?:drover|process)_[a-z_]+)`/g)) expect(metrics).to.include(metric);
  });

  it("shows no loss, step, rate or goodput where none is known", async () => {
    await begin({ "job-manager": { "get-world": quietWorld } });
    wire.system.tell(masterService, { type: "stage-changed", stage: "rendezvous", reason: null, isFinal: false });
    const asked = wire.call("/metrics");
    while (!wire.heardBy("state-backend").some(({ type }) => type === "inspect")) await wire.system.settle();
    await wire.system.advance(3_000);
    const { text } = await asked;
    expect(text).to.include('drover_job_stage{stage="rendezvous"} 1').and.to.include("drover_job_world_size 0");
    expect(text).not.to.match(/^drover_job_(loss|step|samples_per_second|goodput) /m);
  });

  it("shows metrics of the job, the actors and the requests, and counts what did not answer", async () => {
    const actors = [{ id: "task-manager", name: "task-manager", depth: 2, received: 9, events: 1, waitedMs: 500, restarts: 1 }];
    const counters = { deadLetters: 4, lateAnswers: 0, openAsks: 0 };
    await begin({ "root-guardian": { "inspect-runtime": { actors, counters, threads: 8 } } });
    await wire.call("/healthz");
    const asked = wire.call("/metrics");
    while (!wire.heardBy("state-backend").some(({ type }) => type === "inspect")) await wire.system.settle();
    await wire.system.advance(3_000);
    const { text } = await asked;
    for (const line of [
      "drover_job_world_size 1",
      'drover_job_nodes{state="running"} 1',
      "drover_job_step 40",
      "drover_job_loss Nan",
      "drover_job_goodput 0.9",
      'drover_mailbox_depth{actor="task-manager"} 2',
      'drover_mailbox_wait_seconds{actor="task-manager"} 0.5',
      'drover_actor_restarts_total{actor="task-manager"} 1',
      "drover_dead_letters_total 4",
      "drover_threads 8",
      'drover_scrape_failures_total{part="store"} 1',
      'drover_http_request_seconds_count{route="GET /healthz",status="200"} 1',
    ]) {
      expect(text).to.include(line);
    }
  });
});
