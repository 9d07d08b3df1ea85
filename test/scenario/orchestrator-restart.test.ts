import { expect } from "chai";
import { masterOrchestrator as orchestratorRef } from "../../actors/protocol/refs.js";
import type { Exit } from "../fixtures/scripted-node.js";
import { ScriptedJob } from "../fixtures/scripted-job.js";

/** More than the writes of the longest path below. */
const writesMax = 80;

describe("a job whose master dies", () => {
  let job: ScriptedJob;
  afterEach(() => job.close());

  const begin = async (writes: number): Promise<void> => {
    job = new ScriptedJob();
    job.dieAfterWrites(writes);
    await job.start();
    await revive();
  };
  const revive = async (): Promise<boolean> => {
    await job.settle();
    if (!job.isMasterDead) return false;
    await job.restartMaster();
    return true;
  };
  /** Without an answer from a master that is about to die. */
  const exit = async (node: string, localRank: number, how: Exit): Promise<void> => {
    void job.node(node).exit(localRank, how);
    await revive();
  };
  const succeed = async (): Promise<void> => {
    for (const id of [...job.nodes.keys()]) for (const localRank of [0, 1]) await exit(id, localRank, { exitCode: 0 });
    await revive();
    await job.advance(2_000);
    await revive();
    expect(await job.stage()).to.equal("succeeded");
  };
  const startedRanks = (): number => job.events("job-manager", "ranks-started").reduce((sum, event) => sum + (event["ranks"] as []).length, 0);

  it("loses nothing at any write of the happy path: no rank starts twice, nothing is charged", async function () {
    this.timeout(60_000);
    let deaths = 0;
    for (let writes = 1; writes <= writesMax; writes++) {
      await begin(writes);
      expect(await job.stage(), `after ${writes} writes`).to.equal("running");
      const pids = [...job.nodes.values()].flatMap((node) => node.livePids);
      expect(pids, `after ${writes} writes`).to.have.length(4);
      await succeed();
      expect((await job.world()).restarts).to.equal(0);
      expect(startedRanks()).to.equal(4);
      expect(job.nodes.size).to.equal(2);
      const isSpared = Number.isFinite(job.writesLeft);
      await job.close();
      if (isSpared) break;
      deaths += 1;
    }
    expect(deaths).to.be.within(10, writesMax - 1);
  });

  it("loses nothing at any write of a recovery: one restart is charged", async function () {
    this.timeout(60_000);
    for (let writes = 1; writes <= 25; writes++) {
      job = new ScriptedJob();
      await job.start();
      job.dieAfterWrites(writes);
      await exit("worker-1", 0, { signal: "SIGKILL" });
      await job.advance(2_000);
      await revive();
      await job.settle();
      expect(await job.stage(), `after ${writes} writes`).to.equal("running");
      expect((await job.world()).restarts, `after ${writes} writes`).to.equal(1);
      const pids = [...job.nodes.values()].flatMap((node) => node.livePids);
      expect(pids, `after ${writes} writes`).to.have.length(4);
      await succeed();
      await job.close();
    }
  });

  it("loses nothing at any write of a node's replacement", async function () {
    this.timeout(60_000);
    for (let writes = 1; writes <= 30; writes++) {
      job = new ScriptedJob();
      await job.start();
      job.dieAfterWrites(writes);
      job.node("worker-0").loseHost();
      await revive();
      await job.advance(2_000);
      await revive();
      await job.advance(2_000);
      expect(await job.stage(), `after ${writes} writes`).to.equal("running");
      const { relaunches, nodes } = await job.world();
      expect(relaunches, `after ${writes} writes`).to.equal(1);
      expect(nodes.filter((node) => node.state === "running").map((node) => node.id)).to.deep.equal(["worker-1", "worker-2"]);
      await job.close();
    }
  });

  it("loses nothing at any write of a stop", async function () {
    this.timeout(60_000);
    for (let writes = 1; writes <= 14; writes++) {
      job = new ScriptedJob();
      await job.start();
      job.dieAfterWrites(writes);
      void job.ask(orchestratorRef, { type: "stop-job", because: "enough", isKill: false });
      await revive();
      await job.advance(2_000);
      await revive();
      expect(await job.stage(), `after ${writes} writes`).to.equal("stopped");
      expect([...job.nodes.values()].some((node) => node.isThere)).to.equal(false);
      await job.close();
    }
  });

  it("keeps ranks running when the Job Manager alone is restarted again and again", async () => {
    job = new ScriptedJob();
    await job.start();
    const pids = [...job.nodes.values()].flatMap((node) => node.livePids);
    for (const actor of ["job-manager", "job-auto-scaler", "master-orchestrator", "job-manager"]) {
      await job.system.restart(actor);
      await job.advance(1_000);
    }
    expect([...job.nodes.values()].flatMap((node) => node.livePids)).to.deep.equal(pids);
    expect(await job.stage()).to.equal("running");
  });
});
