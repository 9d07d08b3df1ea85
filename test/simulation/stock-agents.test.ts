import { expect } from "chai";
import { simulateCheck } from "./network-check-scenario.js";
import { runSeeds, seedsOf } from "./seeds.js";
import { simulateStockTraining } from "./stock-training-scenario.js";

describe("stock agents of DLRover's, simulated, while the master is killed ten times", () => {
  it("find out who fails the network check, and all others begin in one world within minutes", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(1_000), "stock-agents", (seed) => Promise.resolve(simulateCheck(seed)));
    if (reports.length === 1) return console.log(reports[0]);
    expect(reports.reduce((sum, { lost }) => sum + lost, 0)).to.be.above(5 * reports.length);
    expect(Math.max(...reports.map(({ tookMs }) => tookMs))).to.be.below(5 * 60_000);
  });

  it("train to the end together, whatever fails and is replaced, and none waits in vain", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(1_000), "stock-agents", (seed) => Promise.resolve(simulateStockTraining(seed)));
    if (reports.length === 1) return console.log(reports[0]);
    expect(reports.reduce((sum, { lost }) => sum + lost, 0)).to.be.above(5 * reports.length);
    expect(reports.filter(({ failures, replaced }) => failures + replaced > 0).length).to.be.above(reports.length / 2);
    expect(Math.max(...reports.map(({ tookMs }) => tookMs))).to.be.below(10 * 60_000);
  });

  it("are the same run for the same seed", () => {
    for (const seed of [3, 4, 5]) expect([simulateCheck(seed), simulateStockTraining(seed)]).to.deep.equal([simulateCheck(seed), simulateStockTraining(seed)]);
  });
});
