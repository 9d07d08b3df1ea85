/** Stock agents that check their network before they train, while the master is killed with -9 ten times. */

import { expect } from "chai";
import { overBoth } from "./dlrover-agent.js";
import { waitFor } from "./drover-process.js";

const kills = 10;

describe("the network check of stock agents of DLRover's", function () {
  this.timeout(600_000);

  it("goes on without the one of four nodes that fails it", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "3:4"]);
      const args = ["--nnodes=3:4", "--nproc-per-node=1", "--max-restarts=2", "--network-check", "--rdzv-conf=lastcall_timeout=3"];
      const agents = [0, 1, 2, 3].map((id) => job.start({ id, args, env: { STEPS: "10", ...(id === 3 ? { MOCK_ERR_RANK: "0" } : {}) } }));
      await waitFor("the first check", () => job.events("network-check-grouped").length > 0 || undefined);
      const killing = job.killMaster(kills);
      expect((await agents[3]?.finished)?.code).to.equal(1);
      for (const agent of agents.slice(0, 3)) expect((await agent.finished).code).to.equal(0);
      await killing;
      expect((await job.ended).code).to.equal(0);
      expect(job.steps(0).at(-1)?.world).to.equal(3);
    });
  });

  it("ends the job where one of two nodes fails it: both agents give up, for neither can say which", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "2", "--max-relaunches", "0", "--heartbeat-timeout", "20s"]);
      const args = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=2", "--network-check"];
      const agents = [0, 1].map((id) => job.start({ id, args, env: id === 1 ? { MOCK_ERR_RANK: "0" } : {} }));
      await waitFor("the check", () => job.events("network-check-grouped").length > 0 || undefined);
      const killing = job.killMaster(kills);
      for (const agent of agents) expect((await agent.finished).code).to.equal(1);
      await killing;
      expect((await job.ended).code).to.equal(1);
      expect((await job.home.status("j")).reason?.code).to.equal("TOO_FEW_NODES");
      expect(job.steps(0)).to.deep.equal([]);
    });
  });
});
