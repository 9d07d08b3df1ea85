/** What counts as progress in a line (src/agent/progress-line.ts). */

import { expect } from "chai";
import { progressOfJson, progressOfText } from "../../src/agent/progress-line.js";

describe("progress in a line", () => {
  const found: [string, number | null, number | string | null][] = [
    ["step 12", 12, null],
    ["Step: 12 | Loss: 0.25", 12, 0.25],
    ["epoch 1 step=12/100 loss=1e-3", 12, 1e-3],
    ["[step 3] train_loss 2.5", 3, 2.5],
    ["global_step=7, loss=nan", 7, "nan"],
    ["step/9 loss: inf", 9, "inf"],
    ["step 1 loss -inf", 1, "inf"],
  ];
  for (const [line, step, loss] of found) {
    it(`is found in "${line}"`, () => expect(progressOfText(line)).to.include({ step, loss }));
  }
  for (const line of ["", "loss 0.3", "stepping 12", "misstep 4", "steps 5", "step twelve", "footstep=3"]) {
    it(`is not found in "${line}"`, () => expect(progressOfText(line)).to.equal(null));
  }

  it("is read from the client's lines, every field of them optional", () => {
    expect(progressOfJson('{"step": 12, "loss": 0.5, "samples": 64, "checkpoint": 10, "t": 1.5}')).to.deep.equal({ step: 12, loss: 0.5, samples: 64, checkpointStep: 10 });
    expect(progressOfJson('{"samples": 64}')).to.deep.equal({ step: null, loss: null, samples: 64, checkpointStep: null });
  });

  it("is read where Python's json writes NaN and Infinity bare", () => {
    expect(progressOfJson('{"step": 1, "loss": NaN}')).to.include({ loss: "nan" });
    expect(progressOfJson('{"loss": -Infinity, "step": 1}')).to.include({ step: 1, loss: "inf" });
  });

  it("is nothing in half a line, in another's JSON, or below zero", () => {
    for (const line of ['{"step": 1', "[]", "3", "null", '{"other": 1}', '{"step": -1}', '{"step": "1"}']) expect(progressOfJson(line), line).to.equal(null);
  });
});
