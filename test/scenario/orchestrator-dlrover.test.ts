import { expect } from "chai";
import { jobManager } from "../../actors/protocol/refs.js";
import type { DlroverRequest } from "../../src/job/dlrover/dlrover-request.js";
import { ScriptedJob } from "../fixtures/scripted-job.js";

describe("a job whose nodes have agents of DLRover's that Drover starts", () => {
  let job: ScriptedJob;
  afterEach(() => job.close());

  const ask = (id: number, request: DlroverRequest): Promise<unknown> => job.ask(jobManager, { type: "dlrover", sender: { type: "worker", id }, request });
  const say = (id: number, event: string): Promise<unknown> =>
    ask(id, { type: "node-event", event, message: "", elapsedSeconds: 0, node: { type: "worker", id, rank: id, address: `10.0.0.${id}` } });
  const begin = async (min: number): Promise<void> => {
    const entrypoint = { target: "/t.py", python: "/usr/bin/python3" };
    job = new ScriptedJob({ agents: { kind: "dlrover" }, roles: [{ nodes: { min, max: 2 }, nprocPerNode: 1, entrypoint }] });
    await job.start();
    for (const node of job.nodes.values()) node.isSilent = true; // It speaks as Drover's own agent.
    for (const id of [0, 1]) await say(id, "WAIT_PRE_CHECK");
    for (const id of [0, 1]) await ask(id, { type: "join-rendezvous", rendezvous: "elastic-training", nodeId: id, rank: id, nproc: 1, address: `10.0.0.${id}` });
    for (const id of [0, 1]) await ask(id, { type: "get-world", rendezvous: "elastic-training", rank: id, waitMs: 0 });
    expect(await job.states()).to.deep.equal({ "worker-0": "running", "worker-1": "running" });
    await say(0, "SUCCEEDED_EXITED");
    await end(0);
    expect(await job.states()).to.deep.equal({ "worker-0": "succeeded", "worker-1": "running" });
  };
  /** The process of its agent ends, and stays away. */
  const end = async (id: number): Promise<void> => {
    job.isLauncherBroken = true;
    job.node(`worker-${id}`).killAgent();
    await job.settle();
  };
  const restarted = (): string[] => job.heard("scheduler", "apply-plan").flatMap(({ plan }) => [...(plan as { restart: readonly string[] }).restart]);

  it("leaves an agent that ended well in peace when the master is started again", async () => {
    await begin(1);
    await job.restartMaster();
    expect(restarted()).to.deep.equal([]);
    expect(await job.states()).to.deep.equal({ "worker-0": "succeeded", "worker-1": "running" });
  });

  it("starts it again when another node is lost that makes no world alone, and hears of it again after the master's death", async () => {
    await begin(2);
    const { intervalMs, timeoutMs } = job.spec.heartbeat;
    for (let ms = 0; ms < 2 * timeoutMs; ms += intervalMs) {
      await ask(1, { type: "heartbeat", atSeconds: ms / 1_000 });
      await job.advance(intervalMs);
    }
    await end(1);
    expect(restarted()).to.have.members(["worker-0", "worker-1"]);
    await job.advance(2 * intervalMs); // What it was silent before it was called back does not count.
    expect(await job.states()).to.deep.equal({ "worker-0": "joining", "worker-1": "joining" });
    await job.restartMaster();
    expect(restarted()).to.have.members(["worker-0", "worker-1"]);
  });
});
