import { expect } from "chai";
import { simulateJob } from "./job-scenario.js";
import { mustHaveMet, runSeeds, seedsOf } from "./seeds.js";

describe("a job, simulated", () => {
  it("keeps its budget, its rounds and its stages, and ends well when the faults stop", async function () {
    this.timeout(180_000);
    const reports = await runSeeds(seedsOf(1_000), "job", simulateJob);
    if (reports.length === 1) return console.log(reports[0]);
    const ends = new Set(reports.map(({ stage }) => stage));
    expect([...ends]).to.include.members(["succeeded", "failed", "stopped"]);
    const sum = (field: "restarts" | "relaunches" | "rounds" | "pauses" | "faults"): number => {
      return reports.reduce((all, report) => all + report[field], 0);
    };
    for (const field of ["restarts", "relaunches", "rounds", "pauses", "faults"] as const)
      expect(sum(field), field).to.be.above(100);
    mustHaveMet(reports, { delays: 50_000, losses: 2_000, doubles: 2_000, crashes: 5_000, tornWrites: 200 });
  });

  it("is the same run for the same seed", async () => {
    for (const seed of [1, 2, 3]) expect(await simulateJob(seed)).to.deep.equal(await simulateJob(seed));
  });
});
