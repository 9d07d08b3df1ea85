import { expect } from "chai";
import { isFit, isLive, nextNodeState, type NodeState, nodeEdges } from "../../src/job/node-state.js";

describe("the states of a node", () => {
  it("have one follower for each cause (N1)", () => {
    const seen = nodeEdges.map(([from, cause]) => `${from} ${cause}`);
    expect(new Set(seen).size).to.equal(seen.length);
  });

  it("lead from planned through every other", () => {
    const reached = new Set<NodeState>(["planned"]);
    for (const state of reached) for (const [from, , to] of nodeEdges) if (from === state) reached.add(to);
    for (const [from, , to] of nodeEdges) expect([...reached]).to.include.members([from, to]);
  });

  it("never lead back to life: an ended node is at most relaunched (N2)", () => {
    for (const [from, cause, to] of nodeEdges) {
      if (isLive(from)) continue;
      expect([cause, to], from).to.deep.equal(["replaced", "relaunched"]);
    }
  });

  it("take a node that succeeded back when its world has to start again (N2)", () => {
    expect(nextNodeState("succeeded", "round-opened")).to.equal("joining");
  });

  it("let a node end from wherever it lives", () => {
    for (const [from] of nodeEdges) {
      if (!isLive(from)) continue;
      for (const [cause, to] of [["lost", "lost"], ["gave-up", "failed"], ["removed", "stopped"]] as const) {
        expect(nextNodeState(from, cause), `${from} ${cause}`).to.equal(to);
      }
    }
  });

  it("know a fit node from one that is only on its way", () => {
    expect((["planned", "launching", "checking"] as const).some(isFit)).to.equal(false);
    expect((["ready", "joining", "running", "succeeded"] as const).every(isFit)).to.equal(true);
  });
});
