/** Nodes come and go while real ranks train: scaling by a person, a node gone for good, and too few for too long. */

import { readFileSync } from "node:fs";
import { expect } from "chai";
import { DroverHome, type StatusJson, ddpTrain, killIfAlive, python, waitFor } from "./drover-process.js";

describe("an elastic job", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const train = (nodes: string, steps: number, ...more: string[]): string[] => [
    ...["run", "--name", "j", "--nnodes", nodes, "--nproc-per-node", "1", "--keep-warm", "0", "--python", python, ...more],
    ...[ddpTrain, "--out", home.out, "--steps", String(steps), "--step-seconds", "0.02"],
  ];
  /** Until rank 0 has made this many steps more in a world of that size. */
  const trainsAt = async (world: number, moreSteps = 5): Promise<void> => {
    const from = home.steps(0).length;
    const made = (): number => home.steps(0).slice(from).filter((line) => line.world === world && line.step !== "start").length;
    await waitFor(() => `${moreSteps} steps at a world of ${world}`, () => (made() >= moreSteps ? true : undefined));
  };
  const scale = async (nodes: number): Promise<string> => {
    const { code, stdout, stderr } = await home.call(["scale", "j", String(nodes)]);
    expect(code, stderr).to.equal(0);
    return stdout;
  };
  const decisions = async (): Promise<string[]> => {
    const { stdout } = await home.call(["events", "j", "--type", "scale-decided", "--json"]);
    return stdout.trim().split("\n").map((line) => (JSON.parse(line) as { event: { because: string } }).event.because);
  };
  /** Agent, nursery and ranks of a node. */
  const processesOf = (node: string): number[] =>
    home.leftovers().flatMap((line) => {
      const [pid = ""] = line.split(" ", 1);
      const environment = readEnvironment(pid);
      const isOfNode = environment.includes(`DROVER_NODE_ID=${node}`) || environment.some((pair) => new RegExp(`^DROVER_NODE_TAG=.*/${node}/`).test(pair));
      return isOfNode || line.includes(`/nodes/${node}/`) ? [Number(pid)] : [];
    });
  const killNode = (node: string): void => {
    for (const pid of processesOf(node)) killIfAlive(pid);
  };
  const isClean = (): Promise<true> =>
    waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 15_000);
  const runningNodes = (status: StatusJson): string[] => status.nodes.filter((node) => node.state === "running").map((node) => node.id);

  it("goes on at the world that a person asks for, and at a smaller one when a node is gone for good", async () => {
    const steps = 150;
    const { finished } = home.start(train("1:3", steps, "--max-relaunches", "0", "--max-restarts", "0"));
    await trainsAt(3);
    expect(await scale(1)).to.include("3 → 1");
    await trainsAt(1);
    const askedAtMs = Date.now();
    expect(await scale(2)).to.include("1 → 2");
    await trainsAt(2, 1);
    expect(Date.now() - askedAtMs, "ms from asking to the first step of the larger world").to.be.below(5_000);
    await trainsAt(2);

    const status = await home.until("j", "two running nodes", (s) => s.stage === "running" && runningNodes(s).length === 2);
    killNode(runningNodes(status)[1] ?? "");
    await trainsAt(1, 1);
    const end = await finished;
    expect(end.code, end.stderr + end.stdout).to.equal(0);
    home.expectWhole(steps);
    expect((await home.status("j")).restarts, "restarts charged").to.equal(0);
    const because = await decisions();
    expect(because[0]).to.equal("the job begins with 3 worker");
    expect(because[1]).to.match(/^from 3 to 1 workers: /);
    expect(because[2]).to.match(/^from 1 to 2 workers: /);
    expect(because[3]).to.match(/^worker-\d ended and nothing takes the place$/);
    expect(because).to.have.length(4);
    await isClean();
  });

  it("takes up a node again that lost everything, though it comes long after the last call; refuses a number of nodes beyond its limits", async () => {
    const { child, finished } = home.start(train("1:2", 10_000, "--max-restarts", "1"));
    await trainsAt(2, 1);
    home.killLeftovers((line) => line.includes("drover_nursery zygote")); // So that who comes again has to load torch, and comes late.
    killNode("worker-1");
    await trainsAt(1, 1);
    const { relaunches } = await home.until("j", "the node to be back", (s) => s.relaunches > 0 && runningNodes(s).length === 2);
    expect(relaunches).to.equal(1);
    await trainsAt(2);
    const { code, stderr } = await home.call(["scale", "j", "3"]);
    expect(code).to.equal(1);
    expect(stderr).to.include("3 workers: this job takes from 1 to 2");
    child.kill("SIGINT");
    expect((await finished).code).to.equal(130);
  });

  it("ends with TOO_FEW_NODES when fewer than the minimum are there for too long", async () => {
    // Cold ranks: an agent joins before they load torch, which may take longer than nodes are waited for.
    const { finished } = home.start(train("2", 10_000, "--no-warm", "--max-relaunches", "0", "--max-restarts", "50", "--rdzv-conf", "join_timeout=4"));
    await trainsAt(2, 1);
    const [, victim = ""] = runningNodes(await home.status("j"));
    let isOver = false;
    void finished.then(() => (isOver = true));
    await waitFor("the job to end", () => {
      killNode(victim); // As often as it comes back.
      return isOver ? true : undefined;
    });
    const end = await finished;
    expect(end.code).to.equal(1);
    const { stage, reason } = await home.status("j");
    expect(stage).to.equal("failed");
    expect(reason?.code, reason?.message).to.equal("TOO_FEW_NODES");
    expect(reason?.message).to.include("1 of at least 2 workers joined after 4 s");
    await isClean();
  });
});

function readEnvironment(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return []; // It ended while we looked.
  }
}
