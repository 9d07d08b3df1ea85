/** Jobs of several roles: chief and workers make one world, a parameter server and an evaluator are worlds of their own (J1). */

import { expect } from "chai";
import type { Role } from "../../src/job/job-spec.js";
import { ScriptedJob } from "../fixtures/scripted-job.js";

const entrypoint = { target: "/t.py", python: "/usr/bin/python3" };
const role = (name: Role, min = 1, max = min) => ({ role: name, nodes: { min, max }, nprocPerNode: 2, entrypoint });

describe("a job of several roles", () => {
  let job: ScriptedJob;

  beforeEach(async () => {
    job = new ScriptedJob({ roles: [role("worker", 1, 2), role("chief"), role("ps"), role("evaluator")], maxRestarts: 2 });
    await job.start();
  });
  afterEach(() => job.close());

  const succeed = async (...nodes: string[]): Promise<void> => {
    for (const node of nodes) for (const localRank of [0, 1]) await job.node(node).exit(localRank, { exitCode: 0 });
    await job.settle();
  };
  const roundOf = (node: string): number | undefined => job.node(node).assignment?.round;

  it("gives the chief the first ranks of the workers' world, and the others worlds of their own", async () => {
    expect(await job.stage()).to.equal("running");
    const places = ["chief-0", "worker-0", "worker-1", "ps-0", "evaluator-0"].map((node) => {
      const { groupRank, firstRank, worldSize, roleFirstRank, roleWorldSize } = job.node(node).assignment ?? {};
      return [node, groupRank, firstRank, worldSize, roleFirstRank, roleWorldSize];
    });
    expect(places).to.deep.equal([
      ["chief-0", 0, 0, 6, 0, 2],
      ["worker-0", 1, 2, 6, 0, 4],
      ["worker-1", 2, 4, 6, 2, 4],
      ["ps-0", 0, 0, 2, 0, 2],
      ["evaluator-0", 0, 0, 2, 0, 2],
    ]);
    const stores = ["chief-0", "worker-0", "ps-0", "evaluator-0"].map((node) => job.node(node).assignment?.masterPort);
    expect(new Set(stores).size).to.equal(3);
  });

  it("restarts nobody but the evaluator when that fails, out of the budget that all share", async () => {
    const before = ["chief-0", "worker-0", "ps-0"].map(roundOf);
    await job.node("evaluator-0").exit(0);
    await job.settle();
    expect(["chief-0", "worker-0", "ps-0"].map(roundOf)).to.deep.equal(before);
    expect(await job.stage()).to.equal("running");
    await job.node("worker-1").exit(1);
    await job.settle();
    expect(await job.world()).to.include({ restarts: 2 });
    await job.node("ps-0").exit(0);
    await job.settle();
    expect(await job.reason()).to.equal("RESTARTS_SPENT");
  });

  it("restarts chief and workers together", async () => {
    const evaluator = roundOf("evaluator-0");
    await job.node("chief-0").exit(0);
    await job.settle();
    expect(new Set(["chief-0", "worker-0", "worker-1"].map(roundOf)).size).to.equal(1);
    expect(roundOf("chief-0")).to.equal(4); // The three groups had rounds 1 to 3.
    expect(roundOf("evaluator-0")).to.equal(evaluator);
  });

  it("succeeds when chief and workers have, whatever the others do", async () => {
    await succeed("chief-0", "worker-0");
    expect(await job.stage()).to.equal("running");
    await succeed("worker-1");
    expect(await job.stage()).to.equal("succeeded");
    expect([...job.nodes.values()].some((node) => node.isThere)).to.equal(false);
  });

  it("does not end when the evaluator is done first", async () => {
    await succeed("evaluator-0");
    expect(await job.stage()).to.equal("running");
    await succeed("chief-0", "worker-0", "worker-1");
    expect(await job.stage()).to.equal("succeeded");
  });

  it("replaces a parameter server whose host is gone", async () => {
    const before = roundOf("worker-0");
    job.node("ps-0").loseHost();
    await job.settle();
    expect(await job.states()).to.include({ "ps-0": "relaunched", "ps-1": "running", "worker-0": "running" });
    expect(roundOf("worker-0")).to.equal(before);
    expect(await job.world()).to.include({ relaunches: 1, restarts: 0 });
  });
});
