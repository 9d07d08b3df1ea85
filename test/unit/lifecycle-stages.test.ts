import { expect } from "chai";
import { finalStage, isFinal, nextStage, type StageCause, stageEdges } from "../../src/job/lifecycle.js";
import type { EndReason, Stage } from "../../src/job/stage.js";

const stages: Stage[] = [
  "created",
  "precheck",
  "rendezvous",
  "running",
  "recovering",
  "scaling",
  "paused",
  "stopping",
  "succeeded",
  "failed",
  "stopped",
];

describe("the stages of a job", () => {
  it("have one follower for each cause (L1)", () => {
    const seen = stageEdges.filter(([, cause]) => cause !== "all-gone").map(([from, cause]) => `${from} ${cause}`);
    expect(new Set(seen).size).to.equal(seen.length);
  });

  it("can all be reached from created, and an end from each of them", () => {
    const from = (start: Stage): Set<Stage> => {
      const reached = new Set([start]);
      for (const stage of reached) for (const [source, , to] of stageEdges) if (source === stage) reached.add(to);
      return reached;
    };
    expect([...from("created")]).to.have.members(stages);
    for (const stage of stages) expect([...from(stage)].some(isFinal), stage).to.equal(true);
  });

  it("end only by way of stopping, and leave an end only where a person takes the job up again (L2)", () => {
    for (const [from, cause, to] of stageEdges) {
      expect(isFinal(from), `${from} → ${to}`).to.equal(cause === "taken-up");
      expect(from).not.to.equal("succeeded");
      if (isFinal(to)) expect(from).to.equal("stopping");
      if (to === "stopping") expect(from).not.to.equal("stopping");
    }
  });

  it("stay what they are when a cause means nothing there", () => {
    const causes: Exclude<StageCause, "all-gone">[] = ["world-running", "world-failed", "resumed", "paused", "end-decided"];
    for (const cause of causes) {
      expect(nextStage("stopping", cause)).to.equal(null);
      expect(nextStage("succeeded", cause)).to.equal(null);
    }
    expect(nextStage("succeeded", "taken-up")).to.equal(null);
    expect(nextStage("paused", "world-failed")).to.equal(null);
    expect(nextStage("running", "world-running")).to.equal(null);
  });

  it("end as the reason says (L3)", () => {
    const ends: [EndReason["code"], Stage][] = [
      ["ALL_SUCCEEDED", "succeeded"],
      ["STOPPED_BY_USER", "stopped"],
      ["RANK_FAILED", "failed"],
      ["TOO_FEW_NODES", "failed"],
    ];
    for (const [code, stage] of ends) expect(finalStage({ code, message: "" })).to.equal(stage);
  });
});
