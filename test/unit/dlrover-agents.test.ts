/** DLRover's agents in the rules of rounds: who gets which world, who has to join again, what the end of one means for the others. */

import { expect } from "chai";
import * as requests from "../../src/job/dlrover/agent-requests.js";
import * as agents from "../../src/job/dlrover/agent-rules.js";
import { answerPeer, type Outcome } from "../../src/job/dlrover/peer-answers.js";
import type { Sender } from "../../src/job/dlrover/dlrover-request.js";
import type { JobEvent } from "../../src/job/job-event.js";
import { applyJobEvent } from "../../src/job/job-history.js";
import { type JobRecord, openRecord, trainers } from "../../src/job/job-record.js";
import { beginJob, meetDeadline } from "../../src/job/job-rules.js";
import type { Ledger } from "../../src/job/ledger.js";
import { loseSilentNodes } from "../../src/job/node-rules.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { roundDueAtMs } from "../../src/job/round-rules.js";

const params = { min: 1, max: 2, unit: 1, lastCallSeconds: 5, joinTimeoutSeconds: 600 };
const worker = (id: number): Sender => ({ type: "worker", id });

class Desk {
  readonly job: JobRecord = openRecord();
  readonly events: JobEvent[] = [];
  nowMs = 1_000;

  constructor(told: Partial<typeof params> = {}, isExternal = true) {
    const entrypoint = { target: "/t.py", python: "/p" };
    const agent = { kind: "dlrover", isExternal } as const;
    beginJob(this.ledger, resolveSpec({ name: "j", roles: [{ entrypoint }], cwd: "/", env: {}, agents: agent }, "/logs"), 0);
    agents.setRendezvous(this.ledger, worker(0), { ...params, ...told });
  }

  get ledger(): Ledger {
    const emit = (event: JobEvent): void => {
      this.events.push(event);
      applyJobEvent(this.job, event, new Set());
    };
    return { job: this.job, nowMs: this.nowMs, upSinceMs: 0, emit };
  }

  greet(id: number, rank = id): void {
    this.event(id, "WAIT_PRE_CHECK", rank);
  }

  event(id: number, event: string, rank = 0): void {
    const node = { type: "worker", id, rank, address: `10.0.0.${id}` };
    requests.noteNodeEvent(this.ledger, worker(id), { event, message: "", elapsedSeconds: 0, node });
  }

  join(id: number, nproc = 2): number {
    const node = agents.peerOf(this.ledger, worker(id));
    if (!node) throw new Error(`worker-${id} is not there`);
    return agents.joinTraining(this.ledger, node, { nproc, address: `10.0.0.${id}` });
  }

  start(...ids: readonly number[]): void {
    for (const id of ids) this.greet(id);
    for (const id of ids) this.join(id);
  }

  world(id: number): readonly (readonly [number, number])[] | null {
    const node = agents.peerOf(this.ledger, worker(id));
    return (node && requests.worldOfPeer(this.ledger, node)?.world) ?? null;
  }

  waiting(id: number): number {
    return requests.countWaiting(this.ledger, worker(id));
  }

  /** Until the round's own deadline. */
  wait(): void {
    const group = this.job.groups.get(trainers);
    const dueAtMs = group ? roundDueAtMs(this.ledger, group) : null;
    if (!group || dueAtMs === null) throw new Error("nothing is due");
    this.nowMs = Math.max(this.nowMs, dueAtMs);
    meetDeadline(this.ledger, group);
  }

  get round(): number {
    return this.job.groups.get(trainers)?.round ?? 0;
  }
}

describe("DLRover's agents", () => {
  it("get one world, in the order of their node ranks, when all that may be there have joined", () => {
    const desk = new Desk({ min: 3, max: 3 });
    desk.start(2, 0);
    expect(desk.world(0)).to.equal(null);
    desk.start(1);
    expect(desk.world(0)).to.deep.equal([[0, 2], [1, 2], [2, 2]]);
    expect(desk.world(2)).to.deep.equal(desk.world(0));
    expect(desk.round).to.equal(1);
  });

  it("wait their last call for those whom nobody knows yet, and not longer", () => {
    const desk = new Desk();
    desk.start(0);
    expect(desk.world(0)).to.equal(null);
    desk.wait();
    expect(desk.nowMs).to.equal(6_000);
    expect(desk.world(0)).to.deep.equal([[0, 2]]);
  });

  it("make a world of a multiple of the node unit and of no more than the maximum; who is left stands by and sees it", () => {
    const desk = new Desk({ min: 2, max: 4, unit: 2 });
    desk.start(0, 1, 2);
    desk.wait();
    expect(desk.world(0)).to.deep.equal([[0, 2], [1, 2]]);
    expect(desk.world(2)).to.equal(null);
    expect(requests.worldAfterWait(desk.ledger, agents.peerOf(desk.ledger, worker(2))).world).to.deep.equal([[0, 2], [1, 2]]);
    desk.start(3);
    expect([0, 1, 2, 3].map((id) => desk.waiting(id) > 0)).to.deep.equal([true, true, false, false]);
    desk.join(0);
    desk.join(1);
    expect(desk.world(3)).to.deep.equal([[0, 2], [1, 2], [2, 2], [3, 2]]);
    desk.start(4);
    expect(desk.waiting(0)).to.equal(0);
  });

  it("are let go that wait for a key of a world that is over: its first node was lost before it said where they meet", () => {
    const desk = new Desk({ min: 2, max: 2 });
    desk.start(0, 1);
    for (const id of [0, 1]) desk.world(id);
    const key = (round: number, name: string): string => `elastic-training/torch.rendezvous.elastic-training.${round}.0/${name}`;
    const ask = (...names: readonly string[]): Outcome => answerPeer(desk.ledger, worker(1), { type: "get-keys", keys: names, waitMs: 5_000 });
    const [address, port] = [key(1, "MASTER_ADDR"), key(1, "MASTER_PORT")];
    expect(ask(address)).to.deep.equal({ subject: `key ${address}`, waitMs: 5_000 });
    desk.greet(0); // Another agent in its place.
    desk.join(0);
    const text = (value: string): Uint8Array => new Uint8Array(Buffer.from(value));
    expect(ask(address, port)).to.deep.equal({ answer: { values: [text("127.0.0.1"), text("1")] } });
    expect(ask(key(1, "torchelastic/agent/terminal_state/last_member"))).to.have.property("answer");
    for (const other of [key(1, "mine"), key(2, "MASTER_ADDR"), "MASTER_ADDR"]) expect(ask(other), other).to.have.property("subject");
    expect(desk.waiting(1)).to.equal(1);
  });

  it("are not stopped for a node that checks its network, but when it joins", () => {
    const desk = new Desk();
    desk.start(0);
    desk.wait();
    desk.world(0);
    desk.greet(1);
    expect(desk.waiting(0)).to.equal(0);
    desk.join(1);
    expect(desk.waiting(0)).to.equal(1);
    desk.join(0);
    expect(desk.world(1)).to.deep.equal([[0, 2], [1, 2]]);
  });

  it("that say their join twice change nothing, and the second time with another number of ranks is what counts", () => {
    const desk = new Desk({ min: 2, max: 2 });
    desk.start(0);
    desk.join(0, 4);
    desk.start(1);
    expect(desk.world(1)).to.deep.equal([[0, 4], [1, 2]]);
    expect(desk.join(0, 4)).to.equal(0); // The answer to its first join was lost: it has not seen its world.
    expect(desk.round).to.equal(1);
    expect(desk.world(0)).to.deep.equal([[0, 4], [1, 2]]);
  });

  it("start failed ranks again in a new round, charged once, and the others join it at once", () => {
    const desk = new Desk({ min: 2 });
    desk.start(0, 1);
    desk.world(0);
    desk.world(1);
    const errorText = JSON.stringify({ 3: { local_rank: 1, exitcode: -9, message: "Signal 9 (SIGKILL)", datetime: "now" } });
    expect(requests.noteNodeFailure(desk.ledger, worker(1), { errorText, restartCount: 0, level: "process_error" })).to.equal(true);
    desk.join(1);
    expect(desk.waiting(0)).to.equal(1);
    desk.join(0);
    expect([desk.round, desk.job.budget.restarts]).to.deep.equal([2, 1]);
    expect(desk.world(0)).to.deep.equal([[0, 2], [1, 2]]);
    const failed = desk.events.find((event) => event.type === "rank-failed");
    expect(failed).to.deep.include({ because: "killed", node: "worker-1" });
  });

  it("go on without one that is silent, and with the one that takes its place", () => {
    const desk = new Desk({ min: 1, max: 2 });
    desk.start(0, 1);
    desk.world(0);
    desk.world(1);
    desk.nowMs += 60_000;
    loseSilentNodes(desk.ledger, (node) => (node === "worker-0" ? desk.nowMs : 0));
    expect(desk.waiting(0)).to.equal(1);
    desk.join(0);
    desk.greet(7, 1);
    desk.join(7);
    expect(desk.world(0)).to.deep.equal([[0, 2], [1, 2]]);
    expect(desk.job.nodes.get("worker-1")?.state).to.equal("relaunched");
  });

  it("that come again under the same id have lost their ranks; under another id in the same place they replace the former", () => {
    const desk = new Desk({ min: 2 });
    desk.start(0, 1);
    desk.world(0);
    desk.world(1);
    desk.greet(1);
    expect(desk.waiting(0)).to.equal(1);
    desk.join(1);
    desk.join(0);
    expect(desk.world(1)).to.deep.equal([[0, 2], [1, 2]]);
    desk.greet(5, 0);
    expect(desk.job.nodes.get("worker-0")?.state).to.equal("relaunched");
    desk.join(5);
    desk.join(1);
    expect(desk.world(1)).to.deep.equal([[0, 2], [1, 2]]);
    expect(desk.job.groups.get(trainers)?.members.has("worker-5")).to.equal(true);
  });

  it("end the job when all have succeeded, and the success of one does not keep another from recovering", () => {
    const desk = new Desk();
    desk.start(0, 1);
    desk.world(0);
    desk.world(1);
    desk.event(0, "SUCCEEDED_EXITED");
    expect(desk.job.end).to.equal(null);
    expect(desk.waiting(1)).to.equal(0);
    desk.join(1);
    expect(desk.world(1)).to.deep.equal([[1, 2]]);
    desk.event(1, "SUCCEEDED_EXITED");
    expect(desk.job.end?.code).to.equal("ALL_SUCCEEDED");
    expect(desk.waiting(1)).to.equal(-1);
  });

  it("that give up end the job with their failure when too few are left, and not while others can go on", () => {
    const desk = new Desk();
    desk.start(0, 1);
    for (const id of [0, 1]) desk.world(id);
    const errorText = JSON.stringify({ 2: { local_rank: 0, exitcode: 1, message: "ValueError: no", datetime: "now" } });
    requests.noteNodeFailure(desk.ledger, worker(1), { errorText, restartCount: 1, level: "process_error" });
    desk.event(1, "FAILED_EXITED");
    expect([desk.job.end, desk.waiting(0)]).to.deep.equal([null, 1]);
    desk.join(0);
    expect(desk.world(0)).to.deep.equal([[0, 2]]);
    desk.event(0, "FAILED_EXITED");
    expect(desk.job.end?.code).to.equal("TOO_FEW_NODES");
  });

  it("end the job with the exit code of a rank that left no traceback", () => {
    const desk = new Desk({ min: 1, max: 1 });
    desk.start(0);
    desk.world(0);
    const message = "To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html";
    requests.noteNodeFailure(desk.ledger, worker(0), { errorText: JSON.stringify({ 0: { local_rank: 0, exitcode: 3, message } }), restartCount: 1, level: "process_error" });
    desk.event(0, "FAILED_EXITED");
    expect(desk.job.end?.message).to.equal("worker-0: its agent gave up; rank 0: exit code 3; what it printed says more");
  });

  it("that blame their host are waited for again, at another place", () => {
    const desk = new Desk({ min: 1, max: 1 });
    desk.start(0);
    desk.world(0);
    requests.noteNodeFailure(desk.ledger, worker(0), { errorText: "CheckFailure", restartCount: -1, level: "node_error" });
    desk.event(0, "FAILED_EXITED");
    expect(desk.job.end).to.equal(null);
    desk.start(1);
    expect(desk.world(1)).to.deep.equal([[1, 2]]);
  });

  it("may change how many there are to be; the newest word counts, and nonsense changes nothing", () => {
    const desk = new Desk({ min: 2, max: 2 });
    desk.start(0);
    agents.setRendezvous(desk.ledger, worker(0), { ...params, min: 5, max: 1 });
    expect(desk.world(0)).to.equal(null);
    agents.setRendezvous(desk.ledger, worker(0), { ...params, min: 1, max: 1 });
    expect(desk.world(0)).to.deep.equal([[0, 2]]);
  });

  it("whose process was seen to end are started again in place, as a relaunch, until none is left", () => {
    const desk = new Desk({ min: 1, max: 1 }, false);
    const launched = { node: "worker-0", host: "h", address: "10.0.0.1", pid: 7 };
    desk.ledger.emit({ type: "node-planned", node: "worker-0", role: "worker", nodeRank: 0, resources: { cpu: 0, memoryBytes: 0, gpu: 0, custom: {} }, because: "asked", atMs: 0 });
    desk.ledger.emit({ type: "node-launched", ...launched });
    for (const relaunches of [1, 2, 3]) {
      desk.start(0);
      expect(desk.world(0)).to.deep.equal([[0, 2]]);
      const node = desk.job.nodes.get("worker-0");
      if (node) agents.notePeerEnded(desk.ledger, node, "killed by SIGKILL");
      expect([desk.job.budget.relaunches, desk.job.end]).to.deep.equal([relaunches, null]);
      desk.ledger.emit({ type: "node-launched", ...launched });
    }
    desk.start(0);
    const node = desk.job.nodes.get("worker-0");
    if (node) agents.notePeerEnded(desk.ledger, node, "killed by SIGKILL");
    expect(desk.job.end?.code).to.equal("TOO_FEW_NODES");
  });

  it("that somebody else starts are waited for when others are lost after they have ended well, and named when the job ends without them", () => {
    const desk = new Desk({ min: 2, max: 2 });
    desk.start(0, 1);
    for (const id of [0, 1]) desk.world(id);
    desk.event(0, "SUCCEEDED_EXITED");
    desk.start(1);
    expect([desk.world(1), desk.job.end]).to.deep.equal([null, null]);
    desk.wait();
    expect(desk.job.end?.message).to.equal("1 of at least 2 workers joined after 600 s; the agents of worker-0 had ended well, and nobody started them again");
  });

  describe("that Drover has started", () => {
    const started = (nodes: number, told: Partial<typeof params> = {}): Desk => {
      const desk = new Desk({ min: nodes, max: nodes, ...told }, false);
      for (let id = 0; id < nodes; id += 1) {
        const node = `worker-${id}`;
        desk.ledger.emit({ type: "node-planned", node, role: "worker", nodeRank: id, resources: { cpu: 0, memoryBytes: 0, gpu: 0, custom: {} }, because: "asked", atMs: 0 });
        launch(desk, id);
      }
      desk.start(...Array.from({ length: nodes }, (_, id) => id));
      for (let id = 0; id < nodes; id += 1) desk.world(id);
      return desk;
    };
    const launch = (desk: Desk, id: number): void => desk.ledger.emit({ type: "node-launched", node: `worker-${id}`, host: "h", address: `10.0.0.${id}`, pid: 7 });
    const calledBack = (desk: Desk): string[] => desk.events.flatMap((event) => (event.type === "agent-called-back" ? [event.node] : []));
    const end = (desk: Desk, id: number): void => {
      const node = desk.job.nodes.get(`worker-${id}`);
      if (node) agents.notePeerEnded(desk.ledger, node, "killed by SIGKILL");
    };

    it("and have ended well are called back where the others make no world without them", () => {
      const desk = started(3);
      for (const id of [0, 1]) {
        desk.event(id, "SUCCEEDED_EXITED");
        end(desk, id);
      }
      expect(calledBack(desk)).to.deep.equal([]);
      end(desk, 2); // Between the end of its ranks and its word of it.
      expect(calledBack(desk)).to.deep.equal(["worker-0", "worker-1"]);
      for (const id of [2, 1, 0]) {
        expect(desk.world(id)).to.equal(null);
        launch(desk, id);
        desk.start(id);
      }
      expect(desk.world(1)).to.deep.equal([[0, 2], [1, 2], [2, 2]]);
      for (const id of [0, 1, 2]) {
        desk.world(id);
        desk.event(id, "SUCCEEDED_EXITED");
        end(desk, id);
      }
      expect([desk.job.end?.code, desk.job.budget.relaunches]).to.deep.equal(["ALL_SUCCEEDED", 1]);
    });

    it("are called back as well where a rank fails after the others have ended", () => {
      const desk = started(2);
      desk.event(0, "SUCCEEDED_EXITED");
      end(desk, 0);
      const errorText = JSON.stringify({ 2: { local_rank: 0, exitcode: 1, message: "ValueError: no", datetime: "now" } });
      requests.noteNodeFailure(desk.ledger, worker(1), { errorText, restartCount: 1, level: "process_error" });
      desk.join(1);
      expect([calledBack(desk), desk.job.end]).to.deep.equal([["worker-0"], null]);
    });

    it("are left in peace where the others go on without them", () => {
      const desk = started(2, { min: 1 });
      desk.event(0, "SUCCEEDED_EXITED");
      end(desk, 0);
      end(desk, 1);
      launch(desk, 1);
      desk.start(1);
      expect([calledBack(desk), desk.world(1)]).to.deep.equal([[], [[1, 2]]]);
    });

    it("do not end the job when one gives up while another is being started again", () => {
      const desk = started(2, { min: 1 });
      end(desk, 0);
      desk.event(1, "FAILED_EXITED");
      expect(desk.job.end).to.equal(null);
      launch(desk, 0);
      desk.start(0);
      expect(desk.world(0)).to.deep.equal([[0, 2]]);
    });

    it("end the job with the failure of the one that gives up where it was needed", () => {
      const desk = started(2);
      const errorText = JSON.stringify({ 2: { local_rank: 0, exitcode: 1, message: "ValueError: no", datetime: "now" } });
      requests.noteNodeFailure(desk.ledger, worker(1), { errorText, restartCount: 1, level: "process_error" });
      desk.event(1, "FAILED_EXITED");
      expect(desk.job.end?.code).to.equal("RANK_FAILED");
    });
  });
});
