import { expect } from "chai";
import fc from "fast-check";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import type { HostRecord } from "../../src/job/scale-plan.js";
import {
  applyDecision,
  decideAfterHosts,
  decideBeginning,
  decideClearing,
  decideReplacement,
  decideTarget,
  liveOf,
  openScaling,
  roomFor,
  type ScalingState,
} from "../../src/job/scaling.js";

const gib = 2 ** 30;
const host = (name: string, memory = 64): HostRecord => ({
  host: name,
  address: name,
  total: { cpu: 8, memoryBytes: memory * gib, gpu: 0, custom: {} },
  nodesMax: 100,
  isUp: true,
});

const begin = (nodes: { min: number; max: number; unit?: number }, memory = 0): ScalingState => {
  const roles = [{ nodes, resources: { memoryBytes: memory * gib }, entrypoint: { target: "/t.py", python: "/p" } }];
  const spec = resolveSpec({ name: "j", roles, cwd: "/", env: {} }, "/logs");
  const state = openScaling();
  state.spec = spec;
  applyDecision(state, decideBeginning(state, spec));
  return state;
};

describe("how many nodes", () => {
  it("at the beginning is the maximum of each role", () => {
    const state = begin({ min: 1, max: 3 });
    expect(liveOf(state, "worker").map(({ node, nodeRank }) => [node, nodeRank])).to.deep.equal([
      ["worker-0", 0],
      ["worker-1", 1],
      ["worker-2", 2],
    ]);
    expect(state.target).to.equal(3);
  });

  it("is what a person asks for, within minimum, maximum and unit (S1)", () => {
    const state = begin({ min: 2, max: 6, unit: 2 });
    for (const nodes of [0, 1, 3, 7, 2.5, NaN]) expect(decideTarget(state, nodes, "x"), `${nodes}`).to.include({ code: "OUT_OF_RANGE" });
    const down = decideTarget(state, 2, "a person");
    if ("code" in down) throw new Error(down.message);
    expect(down.remove).to.deep.equal(["worker-5", "worker-4", "worker-3", "worker-2"]);
    applyDecision(state, down);
    const up = decideTarget(state, 4, "a person");
    if ("code" in up) throw new Error(up.message);
    expect(up.create.map(({ node, nodeRank }) => [node, nodeRank])).to.deep.equal([["worker-6", 2], ["worker-7", 3]]);
    expect(up.because).to.equal("from 2 to 4 workers: a person");
  });

  it("is refused when the job ends, or where the hosts could never hold them", () => {
    const state = begin({ min: 1, max: 4 }, 40);
    state.hosts = [host("a"), host("b")];
    expect(decideTarget(state, 3, "x")).to.include({ code: "CANNOT_PLACE" });
    state.isEnding = true;
    expect(decideTarget(state, 1, "x")).to.include({ code: "JOB_ENDING" });
  });

  it("is made up for when hosts come, as far as there is room", () => {
    const state = begin({ min: 1, max: 4 }, 40);
    state.hosts = [host("a"), host("b")];
    for (const id of ["worker-2", "worker-3"]) state.nodes.get(id)!.isEnded = true;
    expect(decideAfterHosts(state, [host("a"), host("b")])).to.equal(null);
    expect(decideAfterHosts(state, [host("a"), host("b"), host("c")])).to.deep.include({
      because: "c came: from 2 to 3 workers",
    });
  });

  it("gives the room of ended nodes back once", () => {
    const state = begin({ min: 1, max: 2 });
    const decision = decideClearing(state, ["worker-1", "other"]);
    expect(decision?.remove).to.deep.equal(["worker-1"]);
    applyDecision(state, decision!);
    expect(decideClearing(state, ["worker-1"])).to.equal(null);
  });

  it("counts room by what is scarcest", () => {
    const asked = { cpu: 2, memoryBytes: 30 * gib, gpu: 0, custom: {} };
    expect(roomFor(asked, [host("a"), { ...host("b"), isUp: false }])).to.equal(2);
    expect(roomFor({ ...asked, gpu: 1 }, [host("a")])).to.equal(0);
    expect(roomFor({ ...asked, cpu: 0, memoryBytes: 0 }, [host("a")])).to.equal(100);
    expect(roomFor(asked, [])).to.equal(Infinity);
  });
});

describe("the replacement of a node", () => {
  it("has its role and node rank, avoids the host, and comes once (S2)", () => {
    const state = begin({ min: 1, max: 2 });
    const lost = { node: "worker-0", because: "gone", isOutOfMemory: false, avoidHost: "a" };
    const decision = decideReplacement(state, lost);
    expect(decision?.create).to.have.length(1);
    expect(decision?.create[0]).to.deep.include({ node: "worker-2", nodeRank: 0, avoidHosts: ["a"] });
    expect(decision?.remove).to.deep.equal(["worker-0"]);
    applyDecision(state, decision!);
    expect(decideReplacement(state, lost)).to.equal(null);
    const again = decideReplacement(state, { ...lost, node: "worker-2", avoidHost: "b" });
    expect(again?.create[0]).to.deep.include({ nodeRank: 0, avoidHosts: ["a", "b"] });
  });

  it("has half as much memory again after an out-of-memory exit, at most what a host has", () => {
    const state = begin({ min: 1, max: 1 }, 40);
    state.hosts = [host("a", 64)];
    const decision = decideReplacement(state, { node: "worker-0", because: "oom", isOutOfMemory: true, avoidHost: null });
    expect(decision?.create[0]?.resources.memoryBytes).to.equal(60 * gib);
    expect(decision?.because).to.equal("worker-1 with 61440 MiB of memory takes the place of worker-0: oom");
    applyDecision(state, decision!);
    const more = decideReplacement(state, { node: "worker-1", because: "oom", isOutOfMemory: true, avoidHost: null });
    expect(more?.create[0]?.resources.memoryBytes).to.equal(64 * gib);
  });

  it("keeps ids unique and node ranks to one live node each, whatever happens (S3)", () => {
    const step = fc.oneof(
      fc.record({ kind: fc.constant("replace" as const), at: fc.nat(9) }),
      fc.record({ kind: fc.constant("target" as const), at: fc.integer({ min: 1, max: 8 }) }),
      fc.record({ kind: fc.constant("clear" as const), at: fc.nat(9) }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const state = begin({ min: 1, max: 8 });
        const made = new Set(state.nodes.keys());
        for (const { kind, at } of steps) {
          const live = liveOf(state, "worker");
          const node = live[at % Math.max(1, live.length)]?.node ?? "none";
          const lost = { node, because: "", isOutOfMemory: false, avoidHost: null };
          const decision =
            kind === "replace" ? decideReplacement(state, lost) : kind === "target" ? decideTarget(state, at, "") : decideClearing(state, [node]);
          if (!decision || "code" in decision) continue;
          for (const { node: id } of decision.create) {
            expect(made.has(id)).to.equal(false);
            made.add(id);
          }
          applyDecision(state, decision);
          const ranks = liveOf(state, "worker").map(({ nodeRank }) => nodeRank);
          expect(new Set(ranks).size).to.equal(ranks.length);
          expect(ranks.length).to.be.at.most(8);
        }
      }),
    );
  });
});
