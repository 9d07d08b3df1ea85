import { expect } from "chai";
import { RankGauges } from "../../src/job/rank-gauges.js";
import type { RankProgress } from "../../src/job/rank-report.js";

const told = (samples: number | null, round = 1): RankProgress => {
  return { round, rank: 0, localRank: 0, step: 1, loss: null, samples, checkpointStep: null, cpuCores: 1, memoryBytes: 1, atMs: 0 };
};

describe("what a node uses", () => {
  it("is what its agent said last, until the node is forgotten", () => {
    const gauges = new RankGauges();
    const use = { cpuCores: 1.5, memoryBytes: 2 ** 30, gpus: [] };
    gauges.use("worker-0", { ...use, cpuCores: 1 });
    gauges.use("worker-0", use);
    expect([gauges.useOf("worker-0"), gauges.useOf("worker-1")]).to.deep.equal([use, null]);
    gauges.forget("worker-0");
    expect(gauges.useOf("worker-0")).to.equal(null);
  });
});

describe("the samples a second of a rank", () => {
  const rateAfter = (reports: readonly (readonly [samples: number | null, atMs: number, round?: number])[]): number | null | undefined => {
    const gauges = new RankGauges();
    for (const [samples, atMs, round] of reports) gauges.note("worker-0", told(samples, round), atMs);
    return gauges.rankOf("worker-0", 0, reports.at(-1)?.[2] ?? 1)?.samplesPerSecond;
  };

  it("follow the count, half the newest and half what was before", () => {
    expect(rateAfter([[0, 0]])).to.equal(null);
    expect(rateAfter([[0, 0], [500, 1_000]])).to.equal(500);
    expect(rateAfter([[0, 0], [500, 1_000], [1_500, 2_000]])).to.equal(750);
  });

  it("are not thrown by two reports in the same breath", () => {
    expect(rateAfter([[0, 0], [500, 1_000], [564, 1_000.1]])).to.equal(500);
    expect(rateAfter([[0, 0], [64, 0.1], [500, 1_000]])).to.equal(500);
  });

  it("stay while the count does, and begin anew with a round", () => {
    expect(rateAfter([[0, 0], [500, 1_000], [500, 3_000]])).to.equal(500);
    expect(rateAfter([[0, 0], [500, 1_000], [500, 3_000, 2]])).to.equal(null);
    expect(rateAfter([[null, 0], [500, 1_000]])).to.equal(null);
  });
});
