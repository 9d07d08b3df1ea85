import { expect } from "chai";
import { simulateCheck } from "./network-check-scenario.js";
import { runSeeds, seedsOf } from "./seeds.js";

describe("the network check of DLRover's agents, simulated", () => {
  it("finds out who fails it, and all others train in one world within minutes, while the master is killed ten times", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(1_000), "network-check", (seed) => Promise.resolve(simulateCheck(seed)));
    if (reports.length === 1) return console.log(reports[0]);
    expect(reports.reduce((sum, { lost }) => sum + lost, 0)).to.be.above(5 * reports.length);
    expect(Math.max(...reports.map(({ tookMs }) => tookMs))).to.be.below(5 * 60_000);
  });

  it("is the same run for the same seed", () => {
    for (const seed of [3, 4, 5]) expect(simulateCheck(seed)).to.deep.equal(simulateCheck(seed));
  });
});
