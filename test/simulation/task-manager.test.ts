import { expect } from "chai";
import { mustHaveMet, runSeeds, seedsOf } from "./seeds.js";
import { simulateShards } from "./shard-scenario.js";

describe("task manager, simulated", () => {
  it("loses no record and does none twice, whatever fails, and ends when the faults stop", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(1_000), "task-manager", simulateShards);
    if (reports.length === 1) return console.log(reports[0]);
    expect(reports.reduce((all, { returns }) => all + returns, 0)).to.be.above(reports.length);
    mustHaveMet(reports, { delays: 10_000, losses: 1_000, doubles: 1_000, crashes: 700, tornWrites: 50 });
  });

  it("is the same run for the same seed", async () => {
    for (const seed of [3, 4, 5]) expect(await simulateShards(seed)).to.deep.equal(await simulateShards(seed));
  });
});
