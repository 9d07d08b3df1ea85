import { expect } from "chai";
import { masterOrchestrator as orchestratorRef, jobAutoScaler as scalerRef } from "../../actors/protocol/refs.js";
import { ScriptedJob } from "../fixtures/scripted-job.js";
import type { ScriptedNode } from "../fixtures/scripted-node.js";

describe("a job, by Orchestrator, Job Manager and Auto Scaler", () => {
  let job: ScriptedJob;
  const begin = async (...input: ConstructorParameters<typeof ScriptedJob>): Promise<void> => {
    job = new ScriptedJob(...input);
    await job.start();
  };
  const succeed = async (): Promise<void> => {
    const members = [...job.nodes.values()].filter((node) => node.livePids.length > 0);
    for (const node of members) for (const localRank of [0, 1]) await node.exit(localRank, { exitCode: 0 });
    await job.settle();
  };
  const pids = (...nodes: ScriptedNode[]): number[] => nodes.flatMap((node) => node.livePids);
  const both = (): number[] => pids(job.node("worker-0"), job.node("worker-1"));
  const restarts = async (): Promise<number> => (await job.world()).restarts;
  afterEach(() => job.close());

  it("runs, and succeeds when every rank has", async () => {
    await begin();
    expect(await job.stage()).to.equal("running");
    const ranks = ["0 worker-0 1 running", "1 worker-0 1 running", "2 worker-1 1 running", "3 worker-1 1 running"];
    expect(await job.ranks()).to.deep.equal(ranks);
    await succeed();
    expect(await job.stage()).to.equal("succeeded");
    expect(await job.reason()).to.equal("ALL_SUCCEEDED");
    const stages = job.events("master-orchestrator", "stage-changed").map((event) => event["to"]);
    expect(stages).to.deep.equal(["precheck", "rendezvous", "running", "stopping", "succeeded"]);
    expect(job.heard("master-service", "stage-changed").at(-1)).to.include({ stage: "succeeded", isFinal: true });
  });

  it("restarts the world when a rank is killed, without the clock moving (O2)", async () => {
    await begin();
    const before = both();
    const atMs = job.clock.now();
    await job.node("worker-1").exit(0);
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(job.clock.now()).to.equal(atMs);
    expect(await restarts()).to.equal(1);
    expect(both()).to.have.length(4);
    for (const pid of both()) expect(before).not.to.include(pid);
    expect(job.node("worker-0").assignment).to.include({ round: 2, groupRank: 0, firstRank: 0, worldSize: 4, restartCount: 1 });
    const stages = job.events("master-orchestrator", "stage-changed").slice(-2);
    expect(stages.map((event) => event["to"])).to.deep.equal(["recovering", "running"]);
    expect(stages[0]?.["because"]).to.equal("rank 2 (worker-1) was killed by SIGKILL");
  });

  it("charges one restart when all ranks die at once (K1)", async () => {
    await begin();
    const [first, second] = [job.node("worker-0"), job.node("worker-1")];
    await Promise.all([first.exit(0), first.exit(1), second.exit(0), second.exit(1)]);
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(await restarts()).to.equal(1);
  });

  it("fails with the rank's error when the restarts are spent", async () => {
    await begin({ maxRestarts: 1 });
    await job.node("worker-0").exit(0);
    await job.settle();
    await job.node("worker-1").exit(1, { exitCode: 3, errorText: "Traceback (most recent call last):\nValueError: seven" });
    await job.settle();
    expect(await job.stage()).to.equal("failed");
    const { reason } = await job.system.ask(orchestratorRef, { type: "get-job" });
    expect(reason).to.include({ code: "RESTARTS_SPENT" });
    expect(reason?.failure).to.include({ rank: 3, node: "worker-1", exitCode: 3, reason: "user-error" });
    expect([...job.nodes.values()].some((node) => node.isThere)).to.equal(false);
  });

  it("waits for a better cause when the first failure looks like a consequence (K2)", async () => {
    await begin({ maxRestarts: 0 });
    await job.node("worker-0").exit(0, { exitCode: 1, errorText: "RuntimeError: Connection closed by peer [127.0.0.1]:1" });
    expect(await job.stage()).to.equal("running");
    await job.node("worker-1").exit(0, { exitCode: 1, errorText: "ValueError: the cause" });
    await job.advance(1_000);
    expect(await job.stage()).to.equal("failed");
    const { reason } = await job.system.ask(orchestratorRef, { type: "get-job" });
    expect(reason?.failure).to.include({ rank: 2, message: "ValueError: the cause" });
  });

  it("restarts nothing when an agent dies and the next one adopts its ranks (A2)", async () => {
    await begin();
    const before = both();
    job.node("worker-0").killAgent();
    await job.settle();
    expect(job.node("worker-0").lives).to.equal(2);
    expect(both()).to.deep.equal(before);
    expect(await restarts()).to.equal(0);
    expect(await job.stage()).to.equal("running");
    expect(await job.states()).to.deep.equal({ "worker-0": "running", "worker-1": "running" });
  });

  it("handles the exit of a rank that died while its agent was away", async () => {
    await begin();
    job.isLauncherBroken = true;
    job.node("worker-0").killAgent();
    await job.node("worker-0").exit(1);
    await job.settle();
    expect(await restarts()).to.equal(0);
    job.node("worker-0").startAgent();
    await job.settle();
    expect(await restarts()).to.equal(1);
    expect(both()).to.have.length(4);
  });

  it("goes on with a smaller world when a node is gone for good, and with a larger one when another comes", async () => {
    await begin({ maxRelaunches: 0 });
    job.node("worker-1").loseHost();
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(job.node("worker-0").assignment).to.include({ worldSize: 2, groupWorldSize: 1, round: 2 });
    expect(await restarts()).to.equal(0);
    expect((await job.states())["worker-1"]).to.equal("lost");

    const before = both();
    const reply = await job.system.ask(scalerRef, { type: "scale-job", nodes: 2, because: "a person" });
    expect(reply).to.include({ ok: true });
    await job.settle();
    expect(await job.ranks()).to.include("2 worker-2 3 running");
    expect(job.node("worker-0").assignment).to.include({ worldSize: 4, groupRank: 0 });
    expect(pids(job.node("worker-0"))[0]).not.to.equal(before[0]);
    expect(await restarts()).to.equal(0);
    const because = job.events("master-orchestrator", "stage-changed").map((event) => event["because"]);
    expect(because).to.include("worker-2 can take part: from 1 to 2 nodes");
  });

  it("gives a node up whose agent and ranks died together when no relaunch is left and the others make a world (A3)", async () => {
    await begin({ maxRelaunches: 0 });
    job.node("worker-1").killAll();
    await job.node("worker-0").exit(0, { exitCode: 1, errorText: "RuntimeError: Connection closed by peer" });
    await job.settle();
    expect((await job.states())["worker-1"]).to.equal("lost");
    expect(job.node("worker-0").assignment).to.include({ worldSize: 2 });
    expect(job.node("worker-0").livePids).to.have.length(2);
  });

  it("takes such a node up again in place while relaunches are left (A3)", async () => {
    await begin();
    job.node("worker-1").killAll();
    await job.settle();
    expect(await job.states()).to.deep.equal({ "worker-0": "running", "worker-1": "running" });
    const { restarts, relaunches } = await job.world();
    expect({ restarts, relaunches }).to.deep.equal({ restarts: 0, relaunches: 1 });
    expect(both()).to.have.length(4);
  });

  it("replaces a node whose host is gone, and keeps the group rank for its heir", async () => {
    await begin();
    job.node("worker-0").loseHost();
    await job.advance(1_000);
    expect(await job.stage()).to.equal("running");
    expect(await job.states()).to.deep.equal({ "worker-0": "relaunched", "worker-1": "running", "worker-2": "running" });
    expect(job.node("worker-1").assignment).to.include({ groupRank: 1, worldSize: 4 });
    expect(job.node("worker-2").assignment).to.include({ groupRank: 0, worldSize: 4 });
    expect((await job.world()).relaunches).to.equal(1);
  });

  it("loses a node that is not heard of, and tells its agent to end when it comes back (A4)", async () => {
    await begin();
    job.node("worker-1").isSilent = true;
    job.unreachable.add("worker-1");
    await job.advance(36_000);
    expect((await job.states())["worker-1"]).to.equal("relaunched");
    expect(job.heard("task-manager", "return-shards").map((message) => message["node"])).to.include("worker-1");
    expect(pids(job.node("worker-0"), job.node("worker-2"))).to.have.length(4);
    job.node("worker-1").isSilent = false;
    await job.settle();
    expect(job.node("worker-1").isThere).to.equal(false);
    expect(await job.stage()).to.equal("running");
  });

  it("stops: ranks get their grace, agents end, hosts are closed, and only then it has ended (Q4)", async () => {
    await begin();
    expect(await job.system.ask(orchestratorRef, { type: "stop-job", because: "Ctrl-C", isKill: false })).to.deep.equal({ ok: true });
    await job.settle();
    expect(job.node("worker-0").desired).to.include({ phase: "exit", graceMs: 10_000 });
    expect(await job.stage()).to.equal("stopped");
    expect(await job.reason()).to.equal("STOPPED_BY_USER");
  });

  it("is killed at once though an agent hangs", async () => {
    await begin();
    job.node("worker-0").isSilent = true;
    await job.system.ask(orchestratorRef, { type: "stop-job", because: "Ctrl-C", isKill: false });
    await job.settle();
    expect(await job.stage()).to.equal("stopping");
    await job.system.ask(orchestratorRef, { type: "stop-job", because: "Ctrl-C", isKill: true });
    await job.settle();
    expect(await job.stage()).to.equal("stopped");
  });

  it("closes the hosts itself when an agent does not end in time", async () => {
    await begin();
    job.node("worker-0").isSilent = true;
    await job.system.ask(orchestratorRef, { type: "stop-job", because: "enough", isKill: false });
    await job.advance(14_000);
    expect(await job.stage()).to.equal("stopping");
    await job.advance(2_000);
    expect(await job.stage()).to.equal("stopped");
  });

  it("pauses and resumes: no rank runs meanwhile, and nothing is charged", async () => {
    await begin();
    expect(await job.system.ask(orchestratorRef, { type: "pause-job", because: "maintenance" })).to.deep.equal({ ok: true });
    await job.settle();
    expect(await job.stage()).to.equal("paused");
    expect(both()).to.deep.equal([]);
    await job.restartMaster();
    expect(await job.stage()).to.equal("paused");
    expect(await job.system.ask(orchestratorRef, { type: "resume-job" })).to.deep.equal({ ok: true });
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(both()).to.have.length(4);
    expect(await restarts()).to.equal(0);
    expect(await job.system.ask(orchestratorRef, { type: "resume-job" })).to.include({ code: "NOT_PAUSED" });
  });

  it("takes the whole world back when a rank fails after others have succeeded (K3)", async () => {
    await begin();
    await job.node("worker-0").exit(0, { exitCode: 0 });
    await job.node("worker-0").exit(1, { exitCode: 0 });
    expect((await job.states())["worker-0"]).to.equal("succeeded");
    await job.node("worker-1").exit(0);
    await job.settle();
    expect(both()).to.have.length(4);
    await succeed();
    expect(await job.stage()).to.equal("succeeded");
  });

  it("fails at once when a rank cannot even begin (F2)", async () => {
    await begin();
    await job.node("worker-0").exit(0, { exitCode: 1, errorText: "Traceback (most recent call last):\nModuleNotFoundError: No module named 'x'" });
    await job.settle();
    expect(await job.reason()).to.equal("RANK_FAILED");
    expect(await job.stage()).to.equal("failed");
  });

  it("does not begin where the entry point cannot be run", async () => {
    job = new ScriptedJob({ roles: [{ entrypoint: { target: "/no.py", python: "/usr/bin/python3" } }] });
    job.entrypointProblem = "/no.py is not there";
    await job.start();
    expect(await job.stage()).to.equal("failed");
    expect(await job.system.ask(orchestratorRef, { type: "get-job" })).to.have.nested.property("reason.code", "PRECHECK_FAILED");
  });

  it("looks for another host when one is unfit, and gives up when the relaunches are spent", async () => {
    job = new ScriptedJob({ maxRelaunches: 1, roles: [{ entrypoint: { target: "/t.py", python: "/usr/bin/python3" } }] });
    job.unfit.set("worker-0", "the disk is full");
    await job.start();
    expect(await job.stage()).to.equal("running");
    expect(await job.states()).to.deep.equal({ "worker-0": "relaunched", "worker-1": "running" });
    await job.close();
    job = new ScriptedJob({ maxRelaunches: 1, roles: [{ entrypoint: { target: "/t.py", python: "/usr/bin/python3" } }] });
    for (const node of ["worker-0", "worker-1"]) job.unfit.set(node, `${node}: the disk is full`);
    await job.start();
    expect(await job.reason()).to.equal("PRECHECK_FAILED");
  });

  it("tries a host that is unfit once more where there is no other, and not until the relaunches are spent", async () => {
    job = new ScriptedJob({ maxRelaunches: 100, roles: [{ entrypoint: { target: "/t.py", python: "/usr/bin/python3" } }] });
    job.hostOf = () => "the-only-one";
    for (let node = 0; node < 9; node++) job.unfit.set(`worker-${node}`, "the disk is full");
    await job.start();
    expect(await job.reason()).to.equal("PRECHECK_FAILED");
    expect(await job.world()).to.include({ relaunches: 1 });
  });

  it("gives a node up whose hardware is broken, for one relaunch, and avoids its host", async () => {
    await begin({ maxRestarts: 0 });
    await job.node("worker-0").exit(0, { exitCode: 201 });
    await job.settle();
    expect(await job.world()).to.include({ restarts: 0, relaunches: 1 });
    expect(await job.states()).to.include({ "worker-0": "relaunched", "worker-2": "running" });
    const [, decided] = job.events("job-auto-scaler", "scale-decided");
    expect(decided).to.have.nested.property("decision.create[0].avoidHosts[0]", "host-of-worker-0");
    expect(decided?.["because"]).to.match(/^worker-2 takes the place of worker-0: rank 0 met broken hardware/);
  });

  it("gives the heir of a node that ran out of memory half as much again, for one relaunch, and says so", async () => {
    const roles = [{ resources: { memoryBytes: 2 ** 30 }, entrypoint: { target: "/t.py", python: "/usr/bin/python3" } }];
    job = new ScriptedJob({ maxRestarts: 0, roles });
    await job.start();
    await job.node("worker-0").exit(0, { signal: "SIGKILL", isOutOfMemory: true });
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(await job.states()).to.deep.equal({ "worker-0": "relaunched", "worker-1": "running" });
    expect(await job.world()).to.include({ restarts: 0, relaunches: 1 });
    const [, decided] = job.events("job-auto-scaler", "scale-decided");
    expect(decided).to.have.property("because", "worker-1 with 1536 MiB of memory takes the place of worker-0: rank 0 ran out of memory");
    expect(decided).to.have.nested.property("decision.create[0].resources.memoryBytes", 1.5 * 2 ** 30);
  });

  it("restarts in place, out of the restarts, what ran out of memory that nobody had set a bound to", async () => {
    await begin();
    await job.node("worker-0").exit(0, { exitCode: 1, errorText: "Traceback (most recent call last):\nMemoryError: no room" });
    await job.settle();
    expect(await job.world()).to.include({ restarts: 1, relaunches: 0 });
    expect(job.events("job-manager", "round-opened").at(-1)).to.have.property("because", "rank 0 (worker-0) ran out of memory");
  });

  it("ends when a node that it cannot do without fits on no host", async () => {
    job = new ScriptedJob({ roles: [{ entrypoint: { target: "/t.py", python: "/usr/bin/python3" } }] });
    job.unplaceable.set("worker-0", "refused");
    await job.start();
    expect(await job.reason()).to.equal("CANNOT_PLACE");
    expect(await job.stage()).to.equal("failed");
  });

  it("ends after the join timeout when too few nodes came", async () => {
    job = new ScriptedJob({ joinTimeoutMs: 5_000, roles: [{ nodes: { min: 2, max: 2 }, entrypoint: { target: "/t.py", python: "/p" } }] });
    job.unplaceable.set("worker-1", "waits");
    await job.start();
    expect(await job.stage()).to.equal("rendezvous");
    await job.advance(6_000);
    expect(await job.reason()).to.equal("TOO_FEW_NODES");
  });
});
