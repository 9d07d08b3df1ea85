/** Stock dlrover-run agents train under Drover's master, over gRPC and HTTP, while the master is killed with -9 ten times. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { overBoth } from "./dlrover-agent.js";
import { waitFor } from "./drover-process.js";

const kills = 10;

describe("stock agents of DLRover's", function () {
  this.timeout(600_000);

  it("one with two ranks trains to the end", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      const agent = job.start({ id: 0, args: ["--nnodes=1", "--nproc-per-node=2", "--max-restarts=2"], env: { STEPS: "60" } });
      await job.untilStep(0, 2, 2);
      await job.killMaster(kills);
      expect((await agent.finished).code).to.equal(0);
      expect((await job.ended).code).to.equal(0);
      expect(job.steps(0).map(({ step }) => step)).to.deep.equal(Array.from({ length: 60 }, (_, step) => step)); // Nothing was restarted.
    });
  });

  it("one trains on when command, watchdog and master are killed, and the command is given again", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      const { address } = job;
      const agent = job.start({ id: 0, args: ["--nnodes=1", "--nproc-per-node=1", "--max-restarts=2"], env: { STEPS: "60" } });
      await job.untilStep(0, 2, 1);
      await job.killAll();
      await job.begin(["--node-num", "1"]);
      expect([job.isTakenUp, job.address]).to.deep.equal([true, address]);
      expect((await agent.finished).code).to.equal(0);
      expect((await job.ended).code).to.equal(0);
      expect(job.steps(0).map(({ step }) => step)).to.deep.equal(Array.from({ length: 60 }, (_, step) => step));
    });
  });

  it("two, of which one has a rank that crashes, restart together and train to the end", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "2"]);
      const args = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=2"];
      const env = { FAIL_RANK: "1", STEPS: "40" };
      const agents = [0, 1].map((id) => job.start({ id, args, env }));
      const killing = job.untilStep(0, 2, 2).then(() => job.killMaster(kills));
      for (const agent of agents) expect((await agent.finished).code).to.equal(0);
      await killing;
      expect((await job.ended).code).to.equal(0);
      expect(job.steps(1).filter(({ step }) => step === 0)).to.have.length(2);
      const { restarts, ranks } = await job.home.status("j");
      expect([restarts, ranks.map(({ state }) => state)]).to.deep.equal([1, ["succeeded", "succeeded"]]);
    });
  });

  it("one whose rank fails again and again gives up, and the job fails with the rank's error", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      const env = { FAIL_RANK: "0", FAIL_STEP: "8", FAIL_ALWAYS: "1" };
      const agent = job.start({ id: 0, args: ["--nnodes=1", "--nproc-per-node=2", "--max-restarts=1"], env });
      const killing = job.untilStep(0, 2, 2).then(() => job.killMaster(kills));
      expect((await agent.finished).code).to.equal(1);
      await killing;
      expect((await job.ended).code).to.equal(1);
      expect((await job.home.status("j")).reason?.code).to.equal("RANK_FAILED");
      expect(job.steps(0).filter(({ step }) => step === 0)).to.have.length(2);
    });
  });

  it("one that is killed with its ranks is replaced by another of its rank, and the others go on with it", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "2"]);
      const args = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=3"];
      const env = { STEPS: "100000" };
      const [first, second] = [0, 1].map((id) => job.start({ id, args, env }));
      await job.untilStep(0, 2, 2);
      second?.kill();
      const killing = job.killMaster(kills);
      const third = job.start({ id: 7, rank: 1, args, env: { ...env } });
      const before = new Set(job.steps(1).map(({ life }) => life));
      await killing;
      await waitFor("steps of the rank in its place", () => job.steps(1).find(({ life, step }) => step > 3 && !before.has(life)));
      writeFileSync(join(job.out, "stop"), "");
      for (const agent of [first, third]) expect((await agent?.finished)?.code).to.equal(0);
      expect((await job.ended).code).to.equal(0);
      const { nodes, ranks } = await job.home.status("j");
      expect(nodes.find(({ id }) => id === "worker-1")?.state).to.equal("relaunched");
      expect(ranks.map(({ node, state }) => `${node} ${state}`)).to.deep.equal(["worker-0 succeeded", "worker-7 succeeded"]);
    });
  });
});
