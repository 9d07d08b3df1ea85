import { expect } from "chai";
import { runSeeds, seedsOf } from "./seeds.js";
import { simulateShards } from "./shard-scenario.js";

describe("task manager, simulated", () => {
  it("loses no record and does none twice, whatever fails, and ends when the faults stop", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(700), "task-manager", simulateShards);
    if (reports.length === 1) return console.log(reports[0]);
    const sum = (field: "returns" | "crashes" | "tornRows"): number =>
      reports.reduce((all, report) => all + report[field], 0);
    expect(sum("crashes")).to.be.above(reports.length);
    expect(sum("returns")).to.be.above(reports.length);
    expect(sum("tornRows")).to.be.above(10);
  });

  it("is the same run for the same seed", async () => {
    for (const seed of [3, 4, 5]) expect(await simulateShards(seed)).to.deep.equal(await simulateShards(seed));
  });
});
