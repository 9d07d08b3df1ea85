/**
 * Whatever is sent to the REST API: an answer that its document knows, or a refusal with a code of the table; never a defect. The components
 * behind it are the real ones, so that a request that passes validation and breaks an actor is found here too.
 */

import { setTimeout as delay } from "node:timers/promises";
import { expect } from "chai";
import fc from "fast-check";
import type { z } from "zod";
import { diagnosisMaster } from "../../actors/diagnosis-master.js";
import { jobAutoScaler } from "../../actors/job-auto-scaler.js";
import { jobManager } from "../../actors/job-manager.js";
import { masterOrchestrator } from "../../actors/master-orchestrator.js";
import { taskManager } from "../../actors/task-manager.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { desiredAnswer, doneAnswer, registerAnswer } from "../../src/wire/agent-api.js";
import { checkpointAnswer, datasetsAnswer, leaseAnswer, okAnswer, registeredAnswer } from "../../src/wire/dataset-api.js";
import { eventsAnswer } from "../../src/wire/event-api.js";
import { errorBody, statusOfCode } from "../../src/wire/http-error.js";
import { findingsAnswer, jobAnswer, scaleAnswer } from "../../src/wire/job-api.js";
import { type Answer, held, WireFixture } from "../fixtures/wire-far-side.js";

type Json = Readonly<Record<string, unknown>>;
/** A request that is right, and the schema of its answer. */
type Sample = Readonly<{ method: string; path: string; body?: Json; answer: z.ZodType | null }>;
type Request = Readonly<{ sample: Sample; path: string; raw: string | undefined }>;

const facts = {
  host: "h0",
  address: "127.0.0.1",
  cpus: 2,
  memoryBytes: 2 ** 33,
  gpus: 0,
  pythonVersion: "3.11.0",
  entrypointProblem: null,
  diskFreeBytes: 2 ** 36,
  sharedMemoryBytes: 2 ** 30,
  openFilesMax: 4_096,
  clockMs: 1_700_000_000_000,
  canBindPorts: true,
};
const rank = { token: "t", localRank: 0, round: 1, pid: 9, state: "exited", exitCode: 1, signal: null, isOutOfMemory: false, errorText: "x", exitedAtMs: 1 };
const progress = { rank: 0, localRank: 0, round: 1, step: 3, loss: "nan", samples: 1, checkpointStep: null, cpuCores: 1, memoryBytes: 1, atMs: 1 };
const agent = "/api/v1/agents/worker-0";
const rows = "/api/v1/datasets/rows";

const samples: readonly Sample[] = [
  { method: "POST", path: `${agent}/register`, body: { agentId: "a1", agentPid: 7, facts, ranks: [] }, answer: registerAnswer },
  { method: "POST", path: `${agent}/register`, body: { agentId: "a2", agentPid: 8, facts, ranks: [rank] }, answer: registerAnswer },
  { method: "POST", path: `${agent}/join`, body: { agentId: "a1", round: 1, nproc: 2, storeHost: "h0", storePort: 4_000 }, answer: doneAnswer },
  { method: "POST", path: `${agent}/ranks`, body: { agentId: "a1", ranks: [rank, { ...rank, localRank: 1, state: "running" }] }, answer: doneAnswer },
  { method: "POST", path: `${agent}/progress`, body: { agentId: "a1", ranks: [progress] }, answer: doneAnswer },
  { method: "POST", path: `${agent}/probe`, body: { agentId: "a1", probe: "probe-1", text: "File" }, answer: doneAnswer },
  { method: "GET", path: `${agent}/desired?agentId=a1&revision=-1&waitMs=5`, answer: desiredAnswer },
  { method: "GET", path: "/api/v1/datasets", answer: datasetsAnswer },
  { method: "POST", path: "/api/v1/datasets", body: { name: "rows", size: 100, shardSize: 10, epochs: 2, shuffle: true }, answer: registeredAnswer },
  { method: "POST", path: "/api/v1/datasets", body: { name: "flow", kind: "stream", size: 5, shardSize: 5 }, answer: registeredAnswer },
  { method: "POST", path: `${rows}/lease`, body: { worker: "worker-0/0/1", node: "worker-0", request: "r1", waitMs: 0 }, answer: leaseAnswer },
  { method: "POST", path: `${rows}/tasks/1`, body: { worker: "worker-0/0/1", ok: true, message: "" }, answer: okAnswer },
  { method: "GET", path: `${rows}/checkpoint`, answer: checkpointAnswer },
  { method: "PUT", path: `${rows}/checkpoint`, body: { content: "{}" }, answer: okAnswer },
  { method: "POST", path: "/api/v1/datasets/flow/extend", body: { size: 50, isEnd: false }, answer: okAnswer },
  { method: "GET", path: "/api/v1/job", answer: jobAnswer },
  { method: "POST", path: "/api/v1/job/pause", body: { because: "lunch" }, answer: okAnswer },
  { method: "POST", path: "/api/v1/job/resume", answer: okAnswer },
  { method: "POST", path: "/api/v1/job/scale", body: { nodes: 2, because: "more" }, answer: scaleAnswer },
  { method: "GET", path: "/api/v1/findings", answer: findingsAnswer },
  { method: "GET", path: "/api/v1/events?after=0&actor=a&type=t&limit=3&newest=true", answer: eventsAnswer },
  { method: "GET", path: "/healthz", answer: null },
  { method: "GET", path: "/readyz", answer: null },
];
const stop: Sample = { method: "POST", path: "/api/v1/job/stop", body: { because: "enough", kill: false }, answer: okAnswer };

const junk = fc.oneof(
  fc.jsonValue(),
  fc.constantFrom(null, -1, 0, 1.5, 1e308, -1e308, 2 ** 53, "", "nan", "rows", "a1", "worker-0", "__proto__", "constructor", "\u0000", "\ud800", [], {}, true),
  fc.string({ minLength: 0, maxLength: 400, unit: "binary" }),
);

/** The body with one of its parts replaced, left out or doubled under another name. */
function spoiled(body: unknown, at: readonly number[], by: unknown, isLeftOut: boolean): unknown {
  if (at.length === 0 || typeof body !== "object" || body === null) return by;
  const keys = Object.keys(body);
  const key = keys[(at[0] ?? 0) % Math.max(1, keys.length)] ?? "extra";
  const parts: Json = { ...body };
  const isGone = isLeftOut && at.length === 1;
  const others = Object.fromEntries(Object.entries(parts).filter(([other]) => other !== key));
  const copy = isGone ? others : { ...parts, [key]: spoiled(parts[key], at.slice(1), by, isLeftOut) };
  return Array.isArray(body) ? Object.values(copy) : copy;
}

const bodyOf = (body: Json | undefined): fc.Arbitrary<string | undefined> => {
  if (body === undefined) return fc.constant(undefined);
  const at = fc.array(fc.nat(12), { minLength: 1, maxLength: 3 });
  const mutant = fc.tuple(at, junk, fc.boolean()).map(([where, by, isLeftOut]) => JSON.stringify(spoiled(body, where, by, isLeftOut)));
  return fc.oneof(
    { weight: 3, arbitrary: fc.constant(JSON.stringify(body)) },
    { weight: 6, arbitrary: mutant },
    { weight: 1, arbitrary: junk.map((value) => JSON.stringify(value)) },
    { weight: 1, arbitrary: fc.constantFrom("", "{", "[1,2", '{"a":1}{"b":2}', '{"__proto__":{"x":1}}', "\u0000") },
  );
};

const part = fc.oneof(fc.webSegment(), fc.constantFrom("worker-1", "nobody", "flow", "rows", "%00", "%ff", "..", "-1", "1e3", "x".repeat(600)));

const pathOf = (path: string): fc.Arbitrary<string> => {
  const broken = fc.tuple(fc.nat(8), part).map(([nth, by]) => {
    const parts = path.split(/(?<=[/?&=])/);
    const index = Math.min(parts.length - 1, 3 + nth);
    const end = /[/?&=]$/.exec(parts[index] ?? "")?.[0] ?? "";
    return parts.map((one, at) => (at === index ? by + end : one)).join("");
  });
  return fc.oneof({ weight: 4, arbitrary: fc.constant(path) }, { weight: 1, arbitrary: broken });
};

const requestOf = (sample: Sample): fc.Arbitrary<Request> =>
  fc.record({ sample: fc.constant(sample), path: pathOf(sample.path), raw: bodyOf(sample.body) });

describe("master service, fuzzed", () => {
  let wire: WireFixture;
  let journal: SqliteJournal;

  beforeEach(async () => {
    wire = new WireFixture({ limits: { requestsPerSecondMax: 1_000_000 } });
    journal = SqliteJournal.open({ path: wire.statePath });
    const entrypoint = { target: "/t.py", python: "/usr/bin/python3" };
    const roles = [{ nodes: { min: 1, max: 3 }, nprocPerNode: 2, entrypoint }];
    const spec = resolveSpec({ name: "digits", roles, cwd: "/", env: {} }, "/logs");
    await wire.start({ scheduler: { "get-placements": { hosts: [], placements: [] }, "close-hosts": held } }, 0, [
      { id: "job-manager", definition: jobManager },
      { id: "job-auto-scaler", definition: jobAutoScaler },
      { id: "task-manager", definition: taskManager },
      { id: "diagnosis-master", definition: diagnosisMaster },
      { id: "master-orchestrator", definition: masterOrchestrator, options: { spec, jobDir: "/j", tokenPath: "/j/token" } },
    ]);
    await wire.system.advance(1_000);
  });
  afterEach(async () => {
    await wire.close();
    await journal.close();
  });

  /** Time passes until it is answered: polls and leases may wait. */
  async function answerTo({ sample, path, raw }: Request): Promise<Answer> {
    const asked = wire.call(path, { method: sample.method, ...(raw === undefined ? {} : { raw }) });
    for (let waitMs = 100; ; waitMs = 5) {
      const answer = await Promise.race([asked, delay(waitMs, null)]);
      if (answer !== null) return answer;
      await wire.system.advance(5_000);
    }
  }

  async function mustBeAnswered(request: Request): Promise<void> {
    const { sample, path } = request;
    const { status, body, text } = await answerTo(request);
    const failed = wire.system.logs.filter(({ level }) => level === "error");
    expect(JSON.stringify(failed), `logged at ${sample.method} ${path}`).to.equal("[]");
    if (status === 200) {
      if (path === sample.path) sample.answer?.parse(body);
      return;
    }
    const { error } = errorBody.parse(body);
    expect(status, `${sample.method} ${path}: ${text}`).to.be.within(400, 499);
    expect(statusOfCode[error.code], error.code).to.equal(status);
  }

  /** An agent that takes part in the round that is open, and reports its ranks. */
  async function bringUpWorld(): Promise<void> {
    const who = { agentId: "a1", agentPid: 7 };
    await wire.call(`${agent}/register`, { body: { ...who, facts: { ...facts, clockMs: wire.system.clock.now() }, ranks: [] } });
    await wire.system.advance(100);
    const { desired } = (await wire.call(`${agent}/desired?agentId=a1&revision=-1&waitMs=0`)).body as { desired: { round: number } };
    const { round } = desired;
    await wire.call(`${agent}/join`, { body: { ...who, round, nproc: 2, storeHost: "h0", storePort: 4_000 } });
    await wire.system.advance(2_000);
    const ranks = [0, 1].map((localRank) => ({ ...rank, token: `t${localRank}`, localRank, round, state: "running", exitCode: null, exitedAtMs: null }));
    await wire.call(`${agent}/ranks`, { body: { ...who, ranks } });
  }

  it("answers what it is asked rightly as its document says, in this order", async () => {
    for (const sample of [...samples, stop]) await mustBeAnswered({ sample, path: sample.path, raw: sample.body && JSON.stringify(sample.body) });
  });

  it("refuses what is nested without end", async () => {
    const [sample] = samples;
    if (!sample) throw new Error("no sample");
    for (const raw of ["[".repeat(100_000), `${"[".repeat(100_000)}${"]".repeat(100_000)}`, `${'{"facts":'.repeat(20_000)}1${"}".repeat(20_000)}`]) {
      await mustBeAnswered({ sample, path: sample.path, raw });
    }
  });

  it("refuses whatever is wrong with a documented code, and nothing behind it fails", async function () {
    this.timeout(60_000);
    await bringUpWorld();
    const { stage, worldSize } = jobAnswer.parse((await wire.call("/api/v1/job")).body);
    expect([stage, worldSize], "a world runs while it is fuzzed").to.deep.equal(["running", 2]);
    const request = fc.oneof(...samples.map(requestOf));
    await fc.assert(fc.asyncProperty(request, mustBeAnswered), { numRuns: 3_000, endOnFailure: true });
    expect((await wire.call("/readyz")).status).to.equal(200);
    await fc.assert(fc.asyncProperty(requestOf(stop), mustBeAnswered), { numRuns: 50, endOnFailure: true });
  });
});
