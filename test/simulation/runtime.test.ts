import { expect } from "chai";
import { simulateRuntime } from "./runtime-scenario.js";
import { mustHaveMet, runSeeds, seedsOf } from "./seeds.js";

describe("the runtime, simulated", () => {
  it("lets out only what is durable, in order, acts once a request and recovers what was written (R2 to R6)", async function () {
    this.timeout(120_000);
    const reports = await runSeeds(seedsOf(1_000), "runtime", simulateRuntime);
    if (reports.length === 1) return console.log(reports[0]);
    expect(reports.reduce((all, { notes }) => all + notes, 0)).to.be.above(reports.length);
    mustHaveMet(reports, { delays: 10_000, losses: 1_000, doubles: 1_000, crashes: 1_000, tornWrites: 50 });
  });

  it("is the same run for the same seed", async () => {
    for (const seed of [6, 7, 8]) expect(await simulateRuntime(seed)).to.deep.equal(await simulateRuntime(seed));
  });
});
