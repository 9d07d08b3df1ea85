/** DLRover's agents in any order of what can happen to them: worlds keep their bounds, nobody waits for ever, the events make the record again. */

import { expect } from "chai";
import fc from "fast-check";
import * as requests from "../../src/job/dlrover/agent-requests.js";
import * as agents from "../../src/job/dlrover/agent-rules.js";
import type { JobEvent } from "../../src/job/job-event.js";
import { applyJobEvent } from "../../src/job/job-history.js";
import { isFinished, type JobRecord, openRecord, trainers } from "../../src/job/job-record.js";
import { beginJob, meetDeadline, stopJob } from "../../src/job/job-rules.js";
import type { Ledger } from "../../src/job/ledger.js";
import { loseSilentNodes, noteAgentEnded } from "../../src/job/node-rules.js";
import { isFit, isLive } from "../../src/job/node-state.js";
import { usableOf } from "../../src/job/rendezvous.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { roundDueAtMs } from "../../src/job/round-rules.js";
import { decodePayload, encodePayload } from "../../src/store/row-codec.js";

const kinds = [
  ...["greet", "greet", "join", "join", "join", "join", "world", "world", "world", "succeed", "fail-rank", "give-up", "blame"],
  ...["silent", "ended", "moved", "deadline", "deadline", "set", "stop"],
] as const;
type Operation = Readonly<{ kind: (typeof kinds)[number]; id: number; ms: number; number: number }>;

const operation: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom(...kinds),
  id: fc.nat(4),
  ms: fc.constantFrom(0, 0, 1, 1_000, 6_000, 40_000),
  number: fc.nat(3),
});

const at = (kind: Operation["kind"], id: number, ms = 0): Operation => ({ kind, id, ms, number: 0 });

/** What was found once. */
const agentEndsWhileItWaits = [at("set", 0), at("join", 2), at("succeed", 2), at("join", 3), at("join", 0), at("ended", 0), at("stop", 0, 1)];

class Play {
  readonly job: JobRecord = openRecord();
  readonly events: JobEvent[] = [];
  readonly heard = new Map<string, number>();
  nowMs = 1_000_000;

  constructor() {
    const roles = [{ entrypoint: { target: "/t.py", python: "/p" } }];
    const spec = resolveSpec({ name: "j", roles, cwd: "/", env: {}, agents: { kind: "dlrover", isExternal: true } }, "/logs");
    beginJob(this.ledger, spec, 0);
    this.set(2, 4, 2);
  }

  get ledger(): Ledger {
    return {
      job: this.job,
      nowMs: this.nowMs,
      upSinceMs: 0,
      emit: (event) => {
        this.events.push(decodePayload(encodePayload(event)) as JobEvent);
        applyJobEvent(this.job, event, new Set());
      },
    };
  }

  set(min: number, max: number, unit: number): void {
    agents.setRendezvous(this.ledger, { type: "worker", id: 0 }, { min, max, unit, lastCallSeconds: 5, joinTimeoutSeconds: 600 });
  }

  do({ kind, id, ms, number }: Operation): void {
    this.nowMs += ms;
    const { ledger, job } = this;
    const sender = { type: "worker", id };
    const node = agents.peerOf(ledger, sender);
    if (kind !== "silent" && kind !== "ended") this.heard.set(agents.peerId(sender), this.nowMs);
    const say = (event: string, rank: number): boolean =>
      requests.noteNodeEvent(ledger, sender, { event, message: "", elapsedSeconds: 0, node: { ...sender, rank, address: "a" } });
    switch (kind) {
      case "greet":
        say("WAIT_PRE_CHECK", id);
        return;
      case "moved":
        say("WAIT_PRE_CHECK", number);
        return;
      case "join": {
        const joining = agents.greetAgent(ledger, sender, { rank: id, address: "a", isNewLife: false });
        if (joining) agents.joinTraining(ledger, joining, { nproc: 1 + (number % 2), address: "a" });
        return;
      }
      case "world":
        if (node) requests.worldOfPeer(ledger, node);
        return;
      case "succeed":
        return void say("SUCCEEDED_EXITED", 0);
      case "give-up":
        return void say("FAILED_EXITED", 0);
      case "fail-rank": {
        const errorText = JSON.stringify({ 0: { local_rank: 0, exitcode: 1, message: `E${this.nowMs}` } });
        return void requests.noteNodeFailure(ledger, sender, { errorText, restartCount: 0, level: "process_error" });
      }
      case "blame":
        return void requests.noteNodeFailure(ledger, sender, { errorText: "Xid", restartCount: -1, level: "node_error" });
      case "silent":
        return loseSilentNodes(ledger, (other) => this.heard.get(other) ?? null);
      case "ended":
        if (node) noteAgentEnded(ledger, node, "killed", number === 0);
        return;
      case "deadline":
        for (const group of job.groups.values()) meetDeadline(this.ledger, group);
        return;
      case "set":
        return this.set(1 + (number % 2), 2 + number, 1 + (number % 2));
      case "stop":
        return number === 0 && ms === 1 ? stopJob(ledger, "asked", 0) : undefined;
    }
  }
}

function check(play: Play): void {
  const { job, ledger } = play;
  const { restarts, maxRestarts, relaunches, maxRelaunches } = job.budget;
  expect(restarts).to.be.within(0, maxRestarts);
  expect(relaunches).to.be.within(0, maxRelaunches);
  const live = [...job.nodes.values()].filter((node) => isLive(node.state));
  expect(new Set(live.map(({ nodeRank }) => nodeRank)).size, "two live nodes in one place").to.equal(live.length);
  const group = job.groups.get(trainers)!;
  if (group.phase === "open") for (const id of group.joins.keys()) expect(isFit(job.nodes.get(id)?.state ?? "lost"), id).to.equal(true);
  for (const node of live) {
    const waiting = requests.countWaiting(ledger, agents.senderOf(node));
    const isAsked = group.phase === "open" && group.awaited.has(node.id) && group.members.has(node.id);
    if (job.mode === "active" && !job.end && isFit(node.state)) expect(waiting > 0, `${node.id} is told to join`).to.equal(isAsked);
  }
  const isAlone = group.phase === "open" && [...group.awaited].every((id) => !group.members.has(id));
  if (isAlone && job.mode === "active" && !job.end) expect(roundDueAtMs(ledger, group), "a round that nobody ends").not.to.equal(null);
}

describe("DLRover's agents, in any order", () => {
  const operations = fc.array(operation, { maxLength: 80, size: "max" });

  it("keep bounds and places, and whoever has to join is told so", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = new Play();
        for (const each of all) {
          play.do(each);
          check(play);
        }
      }),
      { numRuns: 500, examples: [[agentEndsWhileItWaits]] },
    );
  });

  it("get worlds within the bounds that held when they were made, ordered by node rank, of nodes that live", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = new Play();
        let sealed = 0;
        for (const each of all) {
          play.do(each);
          const seals = play.events.filter((event) => event.type === "round-sealed");
          if (seals.length === sealed) continue;
          sealed = seals.length;
          const group = play.job.groups.get(trainers)!;
          if (group.phase !== "sealed" || play.job.end) continue;
          const limits = play.job.spec!.roles[0]!.nodes;
          expect(usableOf({ role: "worker", ...limits }, group.members.size)).to.equal(group.members.size);
          const ranks = [...group.members.keys()].map((id) => play.job.nodes.get(id)!.nodeRank);
          expect(ranks).to.deep.equal([...ranks].sort((a, b) => a - b));
          for (const id of group.members.keys()) {
            const node = play.job.nodes.get(id)!;
            expect(isLive(node.state) && node.hasAgent && !isFinished(play.job, node), id).to.equal(true);
          }
        }
      }),
      { numRuns: 500 },
    );
  });

  it("are put through everything that can happen to them", () => {
    const seen = new Map<string, number>();
    for (const all of fc.sample(fc.array(operation, { minLength: 60, maxLength: 120, size: "max" }), { numRuns: 300, seed: 5 })) {
      const play = new Play();
      for (const each of all) play.do(each);
      for (const { type } of play.events) seen.set(type, (seen.get(type) ?? 0) + 1);
    }
    const types = ["rendezvous-set", "world-asked", "node-stands-by", "replacement-called-for", "round-sealed", "world-taken", "rank-failed", "rank-succeeded"];
    for (const type of [...types, "world-succeeded", "node-emptied", "node-ended", "agent-ended", "job-over"]) expect(seen.get(type) ?? 0, type).to.be.above(10);
  });

  it("are made again by their events", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = new Play();
        for (const each of all) play.do(each);
        const job = openRecord();
        for (const event of play.events) applyJobEvent(job, event, new Set());
        expect(decodePayload(encodePayload(job))).to.deep.equal(decodePayload(encodePayload(play.job)));
      }),
      { numRuns: 200 },
    );
  });
});
