/** Stock agents that come and go, and are told what to do, while the master is killed with -9 ten times. */

import { writeFileSync } from "node:fs";
import { totalmem } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { type DlroverAgent, type DlroverJob, overBoth } from "./dlrover-agent.js";
import { type StatusJson, waitFor } from "./drover-process.js";

const kills = 10;

async function act(job: DlroverJob, node: string, action: string): Promise<void> {
  const { readFileSync } = await import("node:fs");
  const token = readFileSync(join(job.home.path, "jobs/j/token"), "utf8").trim();
  const send = async (): Promise<Response | null> =>
    fetch(`http://${job.address}/api/v1/nodes/${node}/actions`, {
      method: "POST",
      headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
      body: JSON.stringify({ action, because: `e2e ${action}` }),
    }).catch(() => null); // The master was just killed.
  await waitFor(`the master takes ${action}`, async () => ((await send())?.status === 200 ? true : undefined));
}

const end = async (job: DlroverJob, agents: readonly DlroverAgent[]): Promise<void> => {
  writeFileSync(join(job.out, "stop"), "");
  for (const agent of agents) expect((await agent.finished).code).to.equal(0);
  expect((await job.ended).code).to.equal(0);
};

describe("stock agents of DLRover's that come and go", function () {
  this.timeout(600_000);

  it("grow from one node to two and shrink again", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1:2", "--heartbeat-timeout", "20s"]);
      const args = ["--nnodes=1:2", "--nproc-per-node=1", "--max-restarts=5", "--rdzv-conf=lastcall_timeout=2"];
      const env = { STEPS: "100000" };
      const first = job.start({ id: 0, args, env });
      await job.untilStep(0, 2, 1);
      const second = job.start({ id: 1, args, env });
      await job.untilStep(0, 2, 2);
      await job.killMaster(kills);
      second.kill();
      const grown = new Set(job.steps(0).map(({ life }) => life));
      await waitFor("steps without the other", () => job.steps(0).find(({ life, world }) => world === 1 && !grown.has(life)));
      const used = (status: StatusJson): number => status.nodes.find(({ id }) => id === "worker-0")?.memoryBytes ?? 0;
      const status = await job.home.until("j", "what the agent says of its host, each 30 s", (seen) => used(seen) > 0);
      expect(used(status)).to.be.within(2 ** 25, totalmem());
      await end(job, [first]);
    });
  });

  it("restart their ranks, relaunch and report an event when they are told to", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      // An agent that has restarts left restarts its ranks when it is told to relaunch: only one without ends.
      const args = ["--nnodes=1", "--nproc-per-node=1", "--max-restarts=0"];
      const env = { STEPS: "100000" };
      const first = job.start({ id: 0, args, env });
      await job.untilStep(0, 2, 1);
      await act(job, "worker-0", "event");
      await act(job, "worker-0", "restart");
      await job.killMaster(kills);
      await waitFor("the event of the agent", () => job.events("agent-noted").find(({ name, fields }) => name === "Event" && String(fields).includes("e2e event")));
      await waitFor("restarted ranks", () => (new Set(job.steps(0).map(({ life }) => life)).size > 1 ? true : undefined));
      await act(job, "worker-0", "relaunch");
      expect((await first.finished).code).to.equal(1);
      const before = new Set(job.steps(0).map(({ life }) => life));
      const second = job.start({ id: 1, rank: 0, args, env });
      await waitFor("steps of the node in its place", () => job.steps(0).find(({ life }) => !before.has(life)));
      await end(job, [second]);
    });
  });
});
