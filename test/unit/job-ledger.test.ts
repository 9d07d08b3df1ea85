/** Whatever happens, in whatever order: the record of a job keeps its promises, and its events alone make it again. */

import { expect } from "chai";
import fc from "fast-check";
import { desiredOf } from "../../src/job/desired-state.js";
import type { JobEvent } from "../../src/job/job-event.js";
import { applyJobEvent } from "../../src/job/job-history.js";
import { type JobRecord, openRecord, trainers } from "../../src/job/job-record.js";
import { beginJob, meetDeadline, noteIfGone, pauseJob, resumeJob, stopJob } from "../../src/job/job-rules.js";
import type { Ledger } from "../../src/job/ledger.js";
import * as rules from "../../src/job/node-rules.js";
import { isFit, isLive } from "../../src/job/node-state.js";
import { reportRanks } from "../../src/job/rank-rules.js";
import type { RankReport } from "../../src/job/rank-report.js";
import { usableOf } from "../../src/job/rendezvous.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { joinRound } from "../../src/job/round-rules.js";
import { decodePayload, encodePayload } from "../../src/store/row-codec.js";

const facts = { host: "h", address: "a", cpus: 1, memoryBytes: 1, gpus: 0, pythonVersion: null, entrypointProblem: null };
const moreFacts = { ...facts, diskFreeBytes: 1, sharedMemoryBytes: 1, openFilesMax: 1, clockMs: 0, canBindPorts: true };
const limits = { min: 2, max: 4, unit: 2 };
const spec = resolveSpec(
  {
    name: "j",
    roles: [
      { nodes: limits, nprocPerNode: 2, resources: { memoryBytes: 10 }, entrypoint: { target: "/t.py", python: "/p" } },
      { role: "evaluator", entrypoint: { target: "/e.py", python: "/p" } },
    ],
    cwd: "/",
    env: {},
  },
  "/logs",
);

type Operation = Readonly<{ kind: (typeof kinds)[number]; node: number; local: number; ms: number }>;
const kinds = [
  ...["plan", "launch", "register", "register", "fit", "fit", "unfit", "join", "join", "join", "run", "run", "ok", "fail", "oom"],
  ...["away", "away", "gone", "silent", "unplaceable", "remove", "pause", "resume", "restart", "deadline", "stop"],
] as const;

const operationArbitrary: fc.Arbitrary<Operation> = fc.record({
  kind: fc.constantFrom(...kinds),
  node: fc.nat(6),
  local: fc.nat(1),
  ms: fc.constantFrom(0, 0, 1, 500, 1_000, 40_000),
});

class Play {
  readonly job: JobRecord = openRecord();
  readonly events: JobEvent[] = [];
  readonly heard = new Map<string, number>();
  nowMs = 1_000_000;
  lives = 0;

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

  do({ kind, node: number, local, ms }: Operation): void {
    this.nowMs += ms;
    const { ledger, job } = this;
    const attempt = job.attempt === 0 ? "" : `-${job.attempt}`; // Ids are not used twice.
    const id = (number === 6 ? "evaluator-0" : `worker-${number}`) + attempt;
    const role = number === 6 ? ("evaluator" as const) : ("worker" as const);
    const node = job.nodes.get(id);
    const train = job.groups.get(trainers);
    if (kind === "plan") {
      const resources = { cpu: 0, memoryBytes: 10, gpu: 0, custom: {} };
      return rules.resizeJob(ledger, [{ node: id, role, nodeRank: number, resources, avoidHosts: [] }], [], "asked");
    }
    if (kind === "pause") return pauseJob(ledger, "asked");
    if (kind === "resume") return resumeJob(ledger);
    if (kind === "stop" && local === 1) return ms % 4 === 0 ? stopJob(ledger, "asked", ms) : undefined;
    if (kind === "stop") return job.mode === "stopping" ? beginJob(ledger, spec, job.attempt + 1) : undefined;
    if (kind === "restart" && train) return rules.restartRanks(ledger, train, "asked", local === 1);
    if (kind === "silent") return rules.loseSilentNodes(ledger, (other) => this.heard.get(other) ?? null);
    if (kind === "deadline") return [...job.groups.values()].forEach((group) => meetDeadline(this.ledger, group));
    if (node) this.doTo(node.id, kind, local);
  }

  private doTo(id: string, kind: string, local: number): void {
    const { ledger, job } = this;
    const node = job.nodes.get(id)!;
    const group = job.groups.get(node.group);
    this.heard.set(id, this.nowMs);
    const report = (told: Partial<RankReport>): RankReport => ({
      ...{ token: "", localRank: local, round: group?.round ?? 0, pid: 7, state: "running", exitCode: null, signal: null },
      ...{ isOutOfMemory: false, errorText: "", exitedAtMs: null },
      ...told,
    });
    switch (kind) {
      case "launch":
        return rules.noteLaunched(ledger, node, { host: "h", address: "a", pid: 1 });
      case "register": {
        const ranks = local === 1 ? [report({ localRank: 0 }), report({ localRank: 1 })] : [];
        rules.registerAgent(ledger, node, { agentId: `life-${++this.lives}`, agentPid: 2, facts: moreFacts, ranks, isFirstHeard: false });
        return;
      }
      case "fit":
      case "unfit":
        return rules.judgeFacts(ledger, node, kind === "fit", "judged");
      case "join":
        return joinRound(ledger, node, { round: group?.round ?? 0, nproc: 2, storeHost: "h", storePort: 1 + local });
      case "run":
        return reportRanks(ledger, node, [report({})]);
      case "ok":
        return reportRanks(ledger, node, [report({ state: "exited", exitCode: 0 })]);
      case "fail":
        return reportRanks(ledger, node, [report({ state: "exited", exitCode: 1, errorText: `E${this.nowMs}` })]);
      case "oom":
        return reportRanks(ledger, node, [report({ state: "exited", signal: "SIGKILL", isOutOfMemory: true })]);
      case "away":
      case "gone":
        rules.noteAgentEnded(ledger, node, "ended", kind === "gone");
        return noteIfGone(ledger);
      case "unplaceable":
        return rules.noteUnplaceable(ledger, node, "no room", local === 1);
      case "remove":
        return rules.resizeJob(ledger, [], [id], "asked");
    }
  }
}

const begun = (): Play => {
  const play = new Play();
  beginJob(play.ledger, spec, 0);
  return play;
};

function check(play: Play): void {
  const { job } = play;
  const { restarts, maxRestarts, relaunches, maxRelaunches } = job.budget;
  expect(restarts).to.be.within(0, maxRestarts);
  expect(relaunches).to.be.within(0, maxRelaunches);
  expect(job.agents).to.equal([...job.nodes.values()].filter((node) => node.hasAgent).length);
  for (const group of job.groups.values()) {
    for (const id of [...group.joins.keys(), ...group.standby]) {
      const node = job.nodes.get(id);
      expect(node && isFit(node.state) && node.group === group.id, `${id} in ${group.id}`).to.equal(true);
    }
    for (const id of group.joins.keys()) expect(group.phase === "open" && group.awaited.has(id)).to.equal(false);
    const counted = [...group.joins.keys()].filter((id) => job.nodes.get(id)?.role === "worker").length;
    if (group.phase === "open") expect(group.joined.get("worker") ?? 0).to.equal(counted);
    if (group.phase !== "sealed") continue;
    if (group.id === trainers) expect(usableOf({ role: "worker", ...limits }, group.members.size)).to.equal(group.members.size);
    for (const id of group.members.keys()) expect(isLive(job.nodes.get(id)?.state ?? "lost"), id).to.equal(true);
    const unfinished = [...group.members.keys()].flatMap((id) => job.nodes.get(id)?.ranks.filter((rank) => rank.state !== "succeeded") ?? []);
    expect(group.unfinished).to.equal(unfinished.length);
  }
}

const wanted = (play: Play): Map<string, { revision: number; text: string }> =>
  new Map(
    [...play.job.nodes.values()].map((node) => {
      const { revision, ...rest } = desiredOf(play.job, node);
      return [node.id, { revision, text: JSON.stringify(rest) }];
    }),
  );

const eventTypes: JobEvent["type"][] = [
  ...(["job-begun", "node-planned", "node-launched", "node-unplaceable", "agent-registered", "node-found-fit"] as const),
  ...(["agent-ended", "node-emptied", "node-ended", "round-opened", "node-joined", "node-stands-by", "round-sealed"] as const),
  ...(["ranks-started", "rank-succeeded", "rank-failed", "world-succeeded", "verdict-deferred", "nodes-paused"] as const),
  ...(["nodes-resumed", "job-over", "nodes-stopping", "nodes-gone", "job-begun-again"] as const),
];

describe("the record of a job", () => {
  const operations = fc.array(operationArbitrary, { maxLength: 120 });

  it("keeps its bounds and counts through any order of events (B1, J1, V1)", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = begun();
        for (const operation of all) {
          play.do(operation);
          check(play);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("gives a node a new revision whenever what is desired of it changes (J2)", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = begun();
        for (const operation of all) {
          const before = wanted(play);
          play.do(operation);
          for (const [id, now] of wanted(play)) {
            const was = before.get(id);
            if (!was) continue;
            expect(now.revision).to.be.at.least(was.revision);
            if (now.text !== was.text) expect(now.revision, `${operation.kind}: ${was.text} → ${now.text}`).to.be.above(was.revision);
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it("is made again by its events, and by a snapshot and the events after it", () => {
    fc.assert(
      fc.property(operations, fc.nat(200), (all, cut) => {
        const play = begun();
        for (const operation of all) play.do(operation);
        let job = openRecord();
        play.events.forEach((event, index) => {
          if (index === cut) job = decodePayload(encodePayload(job)) as JobRecord;
          applyJobEvent(job, event, new Set());
        });
        expect(job).to.deep.equal(play.job);
      }),
      { numRuns: 200 },
    );
  });

  it("is put through everything that can happen to it", () => {
    const seen = new Set<string>();
    const each = (kinds: readonly Operation["kind"][]): Operation[] =>
      [0, 1, 2, 6].flatMap((node) => kinds.flatMap((kind) => [0, 1].map((local) => ({ kind, node, local, ms: 0 }))));
    const [first, last] = [each(["plan", "launch", "register", "fit"]), each(["join", "ok"])];
    for (const all of fc.sample(fc.array(operationArbitrary, { maxLength: 120, size: "max" }), { numRuns: 1_000, seed: 3 })) {
      const play = begun();
      for (const operation of [...first, ...all, ...last]) play.do(operation);
      for (const event of play.events) seen.add(event.type);
    }
    const rare = ["stacks-asked", "stacks-answered", "step-noted", "verdict-deferred"]; // Scenarios have these.
    expect(eventTypes.filter((type) => !seen.has(type) && !rare.includes(type)), "never happened").to.deep.equal([]);
  });

  it("numbers rounds upwards, opens none after the end, and ends once an attempt (O1)", () => {
    fc.assert(
      fc.property(operations, (all) => {
        const play = begun();
        for (const operation of all) play.do(operation);
        const rounds = play.events.flatMap((event) => (event.type === "round-opened" ? [event.round] : []));
        rounds.forEach((round, index) => expect(round).to.equal(index + 1));
        let [isOver, ends] = [false, 0];
        for (const { type } of play.events) {
          if (type === "job-begun-again") [isOver, ends] = [false, 0];
          if (type === "job-over") ends++;
          expect(ends).to.be.at.most(1);
          expect(isOver && type === "round-opened").to.equal(false);
          isOver ||= type === "job-over" || type === "nodes-stopping";
        }
      }),
      { numRuns: 300 },
    );
  });
});
