import { expect } from "chai";
import { diagnosisMaster } from "../../actors/diagnosis-master.js";
import type { JobManagerMessage } from "../../actors/protocol/job-manager.js";
import type { MasterOrchestratorMessage } from "../../actors/protocol/master-orchestrator.js";
import { diagnosisMaster as ref } from "../../actors/protocol/refs.js";
import type { Finding } from "../../src/job/finding.js";
import type { HostFacts } from "../../src/job/host-facts.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import type { RankProgress } from "../../src/job/rank-report.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { defineActor, type Typed } from "../../src/runtime/actor.js";
import { createInlineSystem, type InlineSystem } from "../../src/runtime/test-kit.js";
import { progressOf } from "../fixtures/rank-progress.js";

const hangTimeoutMs = 10_000;

function specOf(diagnosis: Partial<JobSpec["diagnosis"]> = {}): JobSpec {
  const entrypoint = { target: "train.py", python: "/usr/bin/python3" };
  const asked = { name: "job", roles: [{ entrypoint }], cwd: "/", env: {}, diagnosis: { hangTimeoutMs, ...diagnosis } };
  return resolveSpec(asked, "/logs");
}

/** An actor that keeps what it is told. */
function listener(told: Typed[]) {
  return defineActor<null, Typed, never>({
    name: "listener",
    module: import.meta.url,
    init: () => null,
    receive: (_state, message) => void told.push(message),
    apply: () => undefined,
  });
}

describe("diagnosis master", () => {
  let system: InlineSystem;
  let toJobManager: JobManagerMessage[];
  let toOrchestrator: MasterOrchestratorMessage[];

  beforeEach(async () => {
    system = createInlineSystem();
    toJobManager = [];
    toOrchestrator = [];
    await system.start(
      { id: "job-manager", definition: listener(toJobManager) },
      { id: "master-orchestrator", definition: listener(toOrchestrator) },
      { id: "diagnosis-master", definition: diagnosisMaster, options: {} },
    );
  });

  afterEach(() => system.close());

  const findings = (): Finding[] =>
    toOrchestrator.flatMap((message) => (message.type === "report-finding" ? [message.finding] : []));
  const probes = (): string[] =>
    toJobManager.flatMap((message) => (message.type === "collect-stacks" ? [message.probe] : []));
  const run = async (diagnosis: Partial<JobSpec["diagnosis"]> = {}, ranks = 3): Promise<void> => {
    system.tell(ref, { type: "observe-world", round: 1, nodes: Array.from({ length: ranks }, (_, at) => ({ node: `n${at}`, ranks: 1 })) });
    system.tell(ref, { type: "watch-job", spec: specOf(diagnosis), isRunning: true });
    await system.settle();
  };
  const step = async (steps: readonly (number | null)[], change: Partial<RankProgress> = {}): Promise<void> => {
    for (const [rank, at] of steps.entries()) {
      system.tell(ref, { type: "observe-progress", node: `n${rank}`, ranks: [progressOf(rank, at, change)] });
    }
    await system.settle();
  };

  const facts = (change: Partial<HostFacts> = {}): HostFacts => ({
    host: "h0",
    address: "127.0.0.1",
    cpus: 2,
    memoryBytes: 2 ** 33,
    gpus: 0,
    pythonVersion: "3.11.0",
    entrypointProblem: null,
    diskFreeBytes: 2 ** 40,
    sharedMemoryBytes: 2 ** 30,
    openFilesMax: 4_096,
    clockMs: system.clock.now(),
    canBindPorts: true,
    ...change,
  });
  const judge = async (judged: HostFacts, agentId = "a1", atMs = system.clock.now()): Promise<void> => {
    system.tell(ref, { type: "judge-facts", node: "n0", agentId, facts: judged, atMs });
    await system.settle();
  };

  it("always judges facts, and finds the same faults of a host once (W1)", async () => {
    system.tell(ref, { type: "watch-job", spec: specOf(), isRunning: false });
    await judge(facts());
    await judge(facts({ sharedMemoryBytes: 2 ** 26 }));
    await judge(facts({ sharedMemoryBytes: 2 ** 26, pythonVersion: null }), "a2");
    await system.restart("diagnosis-master");
    await judge(facts({ sharedMemoryBytes: 2 ** 26 }), "a3");
    expect(toJobManager.map((message) => message.type === "facts-judged" && message.isFit)).to.deep.equal([
      true,
      true,
      false,
      true,
    ]);
    expect(toJobManager[2]).to.deep.include({ node: "n0", agentId: "a2" });
    expect(toJobManager[2]).to.have.property("because").that.contains("Python interpreter cannot be run");
    expect(findings().map(({ kind, action }) => [kind, action])).to.deep.equal([
      ["precheck-warning", "none"],
      ["precheck-failed", "none"],
    ]);
    expect(findings()[1]?.evidence.split("\n")).to.have.length(2);
  });

  it("compares a host's clock with the master's of the moment at which it was told, not of a later one", async () => {
    system.tell(ref, { type: "watch-job", spec: specOf(), isRunning: false });
    const told = [facts(), facts({ clockMs: system.clock.now() - 60_000 })] as const;
    const atMs = system.clock.now();
    await system.advance(30_000);
    await judge(told[0], "a1", atMs);
    expect(findings()).to.deep.equal([]);
    await judge(told[1], "a2", atMs);
    expect(findings()[0]?.summary).to.include("60.0 s behind the master's");
  });

  it("finds a hang with the stacks of all ranks, once a round (W2)", async () => {
    await run();
    await step([5, 4, 5]);
    await system.advance(hangTimeoutMs - 1);
    expect(probes()).to.deep.equal([]);
    await system.advance(1);
    const [probe = ""] = probes();
    expect(findings()).to.deep.equal([]);
    system.tell(ref, { type: "observe-stacks", probe, node: "n0", text: "rank 0\n  all_reduce", isLast: false });
    system.tell(ref, { type: "observe-stacks", probe: "other", node: "n0", text: "no", isLast: true });
    system.tell(ref, { type: "observe-stacks", probe, node: "n1", text: "rank 1\n  sleep", isLast: true });
    await system.settle();
    expect(findings()).to.have.length(1);
    const [hang] = findings();
    expect(hang).to.include({ kind: "hang", action: "restart-ranks", rank: 1, node: "n1" });
    expect(hang?.summary).to.contain("No rank has made a step for 10.0 s");
    expect(hang?.evidence).to.contain("rank 1 on n1: at step 4").and.contain("=== n0 ===").and.contain("sleep");
    await system.advance(hangTimeoutMs * 5);
    expect(probes()).to.have.length(1);
    const listed = await system.ask(ref, { type: "list-findings" });
    expect(listed.findings).to.deep.equal(findings());
  });

  it("tells a hang with what stacks came when a node does not answer (W2)", async () => {
    await run();
    await step([5, 5, 5]);
    await system.advance(hangTimeoutMs);
    system.tell(ref, {
      type: "observe-stacks",
      probe: probes()[0] ?? "",
      node: "n0",
      text: "rank 0\n  f",
      isLast: false,
    });
    await system.advance(14_999);
    expect(findings()).to.deep.equal([]);
    await system.advance(1);
    expect(findings()[0]).to.include({ kind: "hang", rank: null, node: null });
  });

  it("takes a suspicion back when a step comes before the stacks (W2)", async () => {
    await run();
    for (const at of [1, 2, 3, 4, 5]) await step([at, at, at]);
    await system.advance(hangTimeoutMs);
    await step([6, 6, 6]);
    system.tell(ref, { type: "observe-stacks", probe: probes()[0] ?? "", node: "n0", text: "f", isLast: true });
    await system.advance(hangTimeoutMs - 1);
    expect(findings()).to.deep.equal([]);
    expect(probes()).to.have.length(1);
    await system.advance(1);
    expect(probes()).to.have.length(2);
  });

  it("finds no hang before the first step, while the job does not run, or when it is turned off (W2)", async () => {
    await run();
    await step([null, null, null]);
    await system.advance(hangTimeoutMs * 3);
    await step([1, 1, 1]);
    system.tell(ref, { type: "watch-job", spec: specOf(), isRunning: false });
    await system.advance(hangTimeoutMs * 3);
    await run({ hangTimeoutMs: 0 });
    await step([2, 2, 2]);
    await system.advance(hangTimeoutMs * 3);
    expect(probes()).to.deep.equal([]);
  });

  it("watches a new round from its first step on", async () => {
    await run();
    await step([5, 5, 5]);
    await system.advance(hangTimeoutMs - 100);
    system.tell(ref, { type: "observe-world", round: 2, nodes: [{ node: "n0", ranks: 1 }] });
    await system.advance(hangTimeoutMs * 2);
    expect(probes()).to.deep.equal([]);
    await step([6], { round: 2 });
    await system.advance(hangTimeoutMs);
    expect(probes()).to.have.length(1);
  });

  it("finds a hang that outlasts a restart of its own, although no step was seen since (W3, W4)", async () => {
    await run();
    await step([5, 5, 5]);
    await system.advance(hangTimeoutMs - 1);
    await system.restart("diagnosis-master");
    await system.advance(hangTimeoutMs - 1);
    expect(probes()).to.deep.equal([]);
    await system.advance(1 + 15_000);
    expect(findings()).to.have.length(1);
    await system.restart("diagnosis-master");
    await system.advance(1_000 + hangTimeoutMs + 15_000);
    expect(findings().map(({ kind }) => kind)).to.deep.equal(["hang", "hang"]);
  });

  it("goes on watching when the Job Manager tells of the same world again", async () => {
    await run();
    await step([5, 5, 5]);
    await system.advance(hangTimeoutMs - 1);
    await run();
    await system.advance(1);
    expect(probes()).to.have.length(1);
  });

  it("finds a lost loss once a round, and asks for what the job's spec says", async () => {
    await run({ onNan: "fail" });
    await step([5, 5, 5], { loss: 0.5 });
    await step([6, 6, 6], { loss: "nan" });
    await step([7, 7, 7], { loss: "nan" });
    expect(findings()).to.have.length(1);
    expect(findings()[0]).to.include({ kind: "nan-loss", action: "end-job", rank: 0, node: "n0" });
  });

  it("finds a straggler once", async () => {
    await run({ hangTimeoutMs: 0 });
    for (let minute = 0; minute < 6; minute++) {
      await step([minute * 100, minute * 30, minute * 100]);
      await system.advance(60_000);
    }
    expect(findings().map(({ kind, rank, action }) => [kind, rank, action])).to.deep.equal([["straggler", 1, "none"]]);
  });
});
