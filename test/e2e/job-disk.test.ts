/** The disk with the job's state fills up while two ranks train, on a real small disk. */

import { join } from "node:path";
import { expect } from "chai";
import { SmallDisk } from "../fixtures/small-disk.js";
import { DroverHome, type StatusJson, ddpTrain, python, waitFor } from "./drover-process.js";

describe("a job whose disk is full", function () {
  this.timeout(240_000);
  let home: DroverHome;
  let disk: SmallDisk | null;

  before(function () {
    home = new DroverHome();
    disk = SmallDisk.mount(64);
    if (disk !== null) return;
    home.close();
    console.log("      skipped: a tmpfs cannot be mounted here (needs root), so there is no disk to fill");
    this.skip();
  });
  after(() => {
    home.close();
    disk?.unmount();
  });

  it("trains on, waits with what would have to be written, and goes on when there is room", async () => {
    if (disk === null) throw new Error("there is no disk");
    const env = { DROVER_HOME: join(disk.path, "home"), HOME_OF_TEST: home.path };
    const logs = join(home.path, "logs"); // What ranks print lies elsewhere: a rank that cannot print is its own affair.
    const args = ["run", "--name", "full", "--nproc-per-node", "2", "--python", python, "--log-dir", logs];
    const { finished } = home.start([...args, ddpTrain, "--out", home.out, "--steps", "200", "--step-seconds", "0.05"], env);
    await waitFor("the first steps", () => home.steps(0).find(({ step }) => step === 3));
    disk.fill();
    const victim = home.steps(1).at(-1)?.pid ?? 0;
    const before = home.steps(0).at(-1)?.pid;
    process.kill(victim, "SIGKILL"); // Its failure cannot be written down, so nothing may come of it yet.
    const dead = home.steps(0).length;
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    expect(home.steps(0).slice(dead + 5).filter(({ pid }) => pid !== before), "a new round that nobody wrote down").to.deep.equal([]);
    disk.free();
    await waitFor("steps of the next round", () => home.steps(0).find(({ pid, step }) => pid !== before && step !== "start"));
    const end = await finished;
    expect(end.code, end.stderr).to.equal(0);
    home.expectWhole(200);
    const { stdout } = await home.start(["status", "full", "--json"], env).finished;
    const { master, restarts } = JSON.parse(stdout) as StatusJson;
    expect([master.restarts, restarts], "restarts of the master, and of the world").to.deep.equal([0, 1]);
  });

  it("does not start, and says what to do, where there is no room for its state", async () => {
    if (disk === null) throw new Error("there is no disk");
    disk.fill();
    const end = await home.start(["run", "--name", "none", "--no-python", "true"], { DROVER_HOME: join(disk.path, "home") }).finished;
    disk.free();
    expect(end.code).to.not.equal(0);
    expect(end.stderr).to.match(/no room|No space|full/i);
  });
});
