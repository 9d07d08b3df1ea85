/** The threads of a master die, one component after the other, while two ranks train: nothing of it reaches them. */

import { mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { componentPlaces } from "../../embed/components.js";
import { type Job, MasterSystem, openJob } from "../../embed/start-job.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { jobDirOf, jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { DroverHome, ddpTrain, python, waitFor } from "./drover-process.js";

const steps = 150;

describe("kill of a component's thread", function () {
  this.timeout(240_000);
  let home: DroverHome;
  let job: Job | null = null;
  const master = new MasterSystem();

  before(() => (home = new DroverHome()));
  after(async () => {
    await job?.close();
    home.close();
  });

  const restartsOf = async (id: string): Promise<number> => (await job?.inspect())?.actors.find((actor) => actor.id === id)?.restarts ?? 0;

  it("of each of the eight in turn, and of all at once, restarts no rank and loses nothing", async () => {
    const jobDir = jobDirOf(home.path, "threads");
    mkdirSync(jobDir, { recursive: true });
    const args = ["--out", home.out, "--steps", String(steps), "--step-seconds", "0.05"];
    const roles = [{ nprocPerNode: 2, entrypoint: { target: ddpTrain, args, python } }];
    const env = { PATH: dirname(process.execPath), DROVER_HOME: home.path };
    const spec = resolveSpec({ name: "threads", roles, cwd: home.path, env, heartbeatIntervalMs: 500 }, join(jobDir, "logs"));
    writeJson(jobFiles(jobDir).spec, spec);
    job = await openJob(spec, jobDir, { prepared: master });
    await waitFor("the first steps", () => home.steps(0).find(({ step }) => step === 3));

    for (const { id } of componentPlaces) {
      master.system.crash(id);
      await waitFor(`${id} to be back`, async () => ((await restartsOf(id)) === 1 ? true : undefined));
    }
    for (const { id } of componentPlaces) master.system.crash(id);
    for (const { id } of componentPlaces) await waitFor(`${id} to be back again`, async () => ((await restartsOf(id)) >= 2 ? true : undefined));
    expect((await job.view()).stage).to.equal("running");

    const end = await job.ended;
    expect(end.stage, JSON.stringify(end.reason)).to.equal("succeeded");
    const pids = new Set(home.steps(0).map(({ pid }) => pid));
    expect([...pids]).to.have.length(1);
    home.expectWhole(steps);
    const times = home.steps(0).filter(({ step }) => step !== "start").map(({ at }) => at);
    expect(Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at))), "slowest step in seconds").to.be.below(1);
  });
});
