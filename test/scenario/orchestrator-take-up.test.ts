import { expect } from "chai";
import { masterOrchestrator as orchestratorRef } from "../../actors/protocol/refs.js";
import { ScriptedJob } from "../fixtures/scripted-job.js";

describe("an ended job that a person takes up", () => {
  let job: ScriptedJob;
  afterEach(() => job.close());

  const takeUp = (): Promise<{ ok: boolean }> => job.ask(orchestratorRef, { type: "take-up-job" });
  const stop = async (): Promise<void> => {
    await job.ask(orchestratorRef, { type: "stop-job", because: "enough", isKill: false });
    await job.advance(2_000);
    expect(await job.stage()).to.equal("stopped");
  };
  const fail = async (): Promise<void> => {
    for (let failure = 0; failure <= job.spec.budget.maxRestarts; failure++) {
      const [running] = (await job.world()).ranks.filter((rank) => rank.state === "running");
      await job.node(running?.node ?? "").exit(0, { signal: "SIGKILL" });
      await job.advance(2_000);
    }
    expect(await job.reason()).to.equal("RESTARTS_SPENT");
    await job.advance(20_000);
    expect(await job.stage()).to.equal("failed");
  };
  const live = async (): Promise<string[]> => Object.entries(await job.states()).flatMap(([id, state]) => (state === "running" ? [id] : []));

  it("runs with other nodes, in the next round, with a fresh budget; what the others held comes back", async () => {
    job = new ScriptedJob();
    await job.start();
    await fail();
    await job.restartMaster();
    job.told.length = 0;
    expect(await takeUp()).to.deep.equal({ ok: true });
    await job.settle();
    expect(await job.stage()).to.equal("running");
    expect(await job.reason()).to.equal(undefined);
    expect(await live()).to.deep.equal(["worker-2", "worker-3"]);
    expect(await job.world()).to.include({ restarts: 0, relaunches: 0, round: job.spec.budget.maxRestarts + 2 });
    expect(job.heard("task-manager", "return-shards").map(({ node }) => node)).to.include.members(["worker-0", "worker-1"]);
    for (const node of await live()) for (const localRank of [0, 1]) await job.node(node).exit(localRank, { exitCode: 0 });
    await job.advance(20_000);
    expect(await job.stage()).to.equal("succeeded");
  });

  it("is refused while it runs, and once it has succeeded", async () => {
    job = new ScriptedJob();
    await job.start();
    expect(await takeUp()).to.include({ ok: false, code: "NOT_ENDED" });
    for (const node of await live()) for (const localRank of [0, 1]) await job.node(node).exit(localRank, { exitCode: 0 });
    await job.advance(20_000);
    expect(await takeUp()).to.include({ ok: false, code: "NOT_ENDED", message: "The job is succeeded: there is nothing to take up." });
  });

  it("can be stopped and taken up again and again, and its Job Manager's old reason to end is not heard (Q5)", async () => {
    job = new ScriptedJob();
    await job.start();
    await fail();
    for (let attempt = 1; attempt <= 3; attempt++) {
      await job.restartMaster();
      await takeUp();
      await job.system.restart("job-manager");
      await job.advance(1_000);
      expect(await job.stage(), `attempt ${attempt}`).to.equal("running");
      expect(await live()).to.deep.equal([`worker-${2 * attempt}`, `worker-${2 * attempt + 1}`]);
      await stop();
    }
  });

  it("loses nothing when the master dies at any write of it", async function () {
    this.timeout(60_000);
    for (let writes = 1; writes <= 60; writes++) {
      job = new ScriptedJob();
      await job.start();
      await stop();
      await job.restartMaster();
      job.dieAfterWrites(writes);
      void takeUp();
      await job.settle();
      const hasDied = job.isMasterDead;
      if (hasDied) {
        await job.restartMaster();
        void takeUp(); // The mark in the job's folder is still there.
      }
      await job.advance(2_000);
      expect(await job.stage(), `after ${writes} writes`).to.equal("running");
      expect(await live(), `after ${writes} writes`).to.deep.equal(["worker-2", "worker-3"]);
      expect([...job.nodes.values()].flatMap((node) => node.livePids), `after ${writes} writes`).to.have.length(4);
      expect(await job.world()).to.include({ restarts: 0, relaunches: 0 });
      await job.close();
      if (!hasDied) return;
    }
    expect.fail("there were more writes than that");
  });
});
