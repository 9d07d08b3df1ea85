import { expect } from "chai";
import { datasetDifference, datasetProblem, type DatasetSpec } from "../../src/job/dataset.js";

const good: DatasetSpec = {
  name: "rows",
  kind: "table",
  size: 10,
  shardSize: 4,
  epochs: 2,
  isShuffled: false,
  seed: 0,
  timeoutMs: 0,
};

describe("dataset spec", () => {
  it("is accepted up to its bounds", () => {
    const largest = { ...good, size: 2 ** 53 - 1, shardSize: 1_000_000, epochs: 1_000_000, seed: -(2 ** 53 - 1) };
    expect(datasetProblem(good)).to.equal(null);
    expect(datasetProblem({ ...largest, timeoutMs: 604_800_000 })).to.equal(null);
  });

  it("is refused beyond them, with the field and what is allowed", () => {
    const wrong: [Partial<DatasetSpec>, string][] = [
      [{ name: "" }, "1 to 128"],
      [{ name: "x".repeat(129) }, "1 to 128"],
      [{ size: -1 }, "size is -1"],
      [{ size: 1.5 }, "size is 1.5"],
      [{ shardSize: 0 }, "from 1 to 1000000"],
      [{ kind: "text", shardSize: 100_001 }, "from 1 to 100000"],
      [{ epochs: 0 }, "epochs is 0"],
      [{ kind: "stream" }, "a stream has 1"],
      [{ seed: Number.NaN }, "seed is NaN"],
      [{ timeoutMs: 99 }, "timeoutMs is 99"],
    ];
    for (const [change, why] of wrong) expect(datasetProblem({ ...good, ...change })).to.contain(why);
  });

  it("differs from another in the first field that is not the same, but for what a stream is known to have", () => {
    expect(datasetDifference(good, { ...good })).to.equal(null);
    expect(datasetDifference(good, { ...good, seed: 1 })).to.equal("seed is 0 there and 1 here");
    expect(datasetDifference(good, { ...good, size: 11 })).to.equal("size is 10 there and 11 here");
    const stream: DatasetSpec = { ...good, kind: "stream", epochs: 1 };
    expect(datasetDifference(stream, { ...stream, size: 11 })).to.equal(null);
  });
});
