import { expect } from "chai";
import {
  applyDiagnosisEvent,
  evidenceCharsMax,
  findingsMax,
  newDiagnosisRecord,
  parseDiagnosis,
  takeDiagnosis,
} from "../../src/job/diagnosis-record.js";
import { cutMiddle, mergeStacks, stacksOf } from "../../src/job/diagnosis-stacks.js";
import type { Finding } from "../../src/job/finding.js";
import { judgeLoss } from "../../src/job/nan-loss.js";
import { progressOf } from "../fixtures/rank-progress.js";

function finding(nth: number, evidence = ""): Finding {
  const about = { kind: "straggler", summary: "", node: null, rank: null, action: "none" } as const;
  return { id: `finding-${nth}`, ...about, evidence, atMs: nth };
}

describe("diagnosis record", () => {
  it("keeps the newest findings, and of the older ones little evidence (G2)", () => {
    const record = newDiagnosisRecord();
    for (let nth = 0; nth < findingsMax + 10; nth++) {
      applyDiagnosisEvent(record, { type: "finding-made", key: `k${nth}`, finding: finding(nth, "x".repeat(4_000)) });
    }
    expect(record.findings).to.have.length(findingsMax);
    expect(record.findings[0]?.id).to.equal("finding-10");
    expect(record.findings.at(-50)?.evidence).to.have.length(4_000);
    expect(record.findings.at(-51)?.evidence).to.have.length(1_024);
    expect(record.keys.size).to.equal(findingsMax + 10);
  });

  it("comes back from its snapshot as it was", () => {
    const record = newDiagnosisRecord();
    applyDiagnosisEvent(record, { type: "world-observed", round: 3, nodes: [{ node: "n0", ranks: 1 }] });
    applyDiagnosisEvent(record, { type: "world-moved" });
    applyDiagnosisEvent(record, { type: "finding-made", key: "k", finding: finding(1) });
    expect(parseDiagnosis(takeDiagnosis(record))).to.deep.equal(record);
    expect(record.world?.hasMoved).to.equal(true);
  });
});

describe("diagnosis stacks", () => {
  it("gives every node the same share of the evidence, and cuts in the middle", () => {
    const texts = new Map([
      ["n1", `begin${"x".repeat(evidenceCharsMax)}end`],
      ["n0", "short"],
    ]);
    const merged = mergeStacks(texts, evidenceCharsMax);
    expect(merged.length).to.be.at.most(evidenceCharsMax);
    expect(merged).to.match(/^=== n0 ===\nshort\n=== n1 ===\nbegin/);
    expect(merged)
      .to.contain("[…]")
      .and.match(/end\n$/);
    expect(cutMiddle("0123456789", 8)).to.have.length(8);
    expect(cutMiddle("0123456789", 2)).to.have.length(2);
  });

  it("finds the ranks in a text, and what is the same in their stacks", () => {
    const stacks = stacksOf(
      "rank 3 (pid 17)\nProcess 17: python\n  f (a.py:3)\nrank 4\nProcess 18: python\n  f (a.py:9)\n",
    );
    expect(stacks.map(({ rank }) => rank)).to.deep.equal([3, 4]);
    expect(stacks[0]?.signature).to.equal(stacks[1]?.signature);
    expect(stacksOf("py-spy is not installed")).to.deep.equal([]);
  });
});

describe("nan loss", () => {
  it("is judged as the job's spec says", () => {
    expect(judgeLoss([progressOf(0, 1, { loss: 2 }), progressOf(1, 1)], "fail")).to.equal(null);
    const lost = [progressOf(0, 4, { loss: 1 }), progressOf(1, 4, { loss: "nan" })];
    expect(judgeLoss(lost, "fail")).to.deep.equal({
      rank: 1,
      summary: "The loss of rank 1 is not a number at step 4.",
      action: "end-job",
    });
    expect(judgeLoss([progressOf(2, null, { loss: "inf" })], "report")).to.deep.equal({
      rank: 2,
      summary: "The loss of rank 2 is infinite.",
      action: "none",
    });
  });
});
