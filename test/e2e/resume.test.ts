/** `drover resume`: after Ctrl-C, after `drover stop`, after a reboot; and where there is nothing to resume. */

import { openSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DroverHome, ddpTrain, python, waitFor } from "./drover-process.js";

describe("drover resume", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const lastStep = (): number => {
    const last = home.steps(0).at(-1);
    return typeof last?.step === "number" ? last.step : -1;
  };
  const hasStep = (step: number): Promise<true> => waitFor(`step ${step}`, () => (lastStep() >= step ? true : undefined));
  const isClean = (): Promise<true> =>
    waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 15_000);
  /** Until all that `isMeant` is dead; without it, as if the machine had lost its power. */
  const kill = (isMeant: (line: string) => boolean = () => true): Promise<true> =>
    waitFor(() => `all to be dead: ${home.leftovers().join("; ")}`, () => (home.killLeftovers(isMeant) === 0 ? true : undefined));
  const events = async (): Promise<{ commitSeq: number; type: string }[]> => {
    const { stdout } = await home.call(["events", "j", "--json"]);
    return stdout.trim().split("\n").map((line) => JSON.parse(line) as { commitSeq: number; type: string });
  };

  it("takes up a job after Ctrl-C, after drover stop and after a reboot, and goes on from its checkpoint", async () => {
    const steps = 100;
    const noBudget = ["--max-restarts", "0", "--max-relaunches", "0"];
    const script = [ddpTrain, "--out", home.out, "--steps", String(steps), "--step-seconds", "0.03"];
    const first = home.start(["run", "--name", "j", "--nproc-per-node", "2", "--keep-warm", "1m", "--python", python, ...noBudget, ...script]);
    await hasStep(3);
    first.child.kill("SIGINT");
    expect((await first.finished).code).to.equal(130);
    expect((await home.status("j")).stage).to.equal("stopped");
    const before = await events();

    const second = home.start(["resume", "j"]);
    const stopped = lastStep();
    await hasStep(stopped + 5);
    const running = await home.until("j", "the job to run", (s) => s.stage === "running" && s.step !== null);
    expect(running.reason).to.equal(null);
    expect((await home.call(["stop", "j"])).stdout).to.include("j stopped");
    const secondEnd = await second.finished;
    expect(secondEnd.code, secondEnd.stderr).to.equal(1);
    expect(secondEnd.stdout, "what was before is not shown again").to.not.include("step 0 ");
    expect((await events()).slice(0, before.length), "events of before").to.deep.equal(before);

    const third = home.start(["resume", "j"]);
    const from = lastStep();
    await hasStep(from + 5);
    third.child.kill("SIGKILL");
    await kill();
    expect((await home.call(["ps"])).stdout).to.match(/j +down/);

    const fourth = await home.call(["resume", "j"]);
    expect(fourth.code, fourth.stderr + fourth.stdout).to.equal(0);
    home.expectWhole(steps);
    const all = await events();
    expect(all.slice(0, before.length)).to.deep.equal(before);
    expect(all.filter(({ type }) => type === "job-taken-up")).to.have.length(2);
    expect((await home.call(["stop", "--warm"])).code).to.equal(0);
    await isClean();

    const refused = await home.call(["resume", "j"]);
    expect(refused.code).to.equal(1);
    expect(refused.stderr).to.include("j has succeeded. There is nothing left to do");
  });

  it("adopts ranks that live, takes up what was given up or paused, and refuses a job that runs and a damaged state", async () => {
    const script = join(home.path, "wait.py");
    writeFileSync(script, "import time\ntime.sleep(600)\n");
    const run = home.start(["run", "--name", "j", "--python", python, script]);
    await home.until("j", "the job to run", (s) => s.stage === "running");
    const live = await home.call(["resume", "j"]);
    expect([live.code, live.stderr]).to.deep.equal([1, "drover: j is running. drover logs j -f follows it.\n"]);
    run.child.kill("SIGKILL");

    const { ranks } = await home.status("j");
    const killMaster = (): Promise<true> => kill((line) => /bin\/(watchdog|master|spare)\.js/.test(line));
    await killMaster();
    expect((await home.call(["status", "j"])).stderr).to.include("j is down: neither its master nor its watchdog lives. drover resume j takes it up");
    expect((await home.call(["resume", "j", "--detach"])).code).to.equal(0);
    const adopted = await home.until("j", "the job to run", (s) => s.stage === "running" && s.master.pid !== null);
    expect([adopted.restarts, adopted.ranks[0]?.pid], "the ranks are adopted").to.deep.equal([0, ranks[0]?.pid]);

    await killMaster();
    expect((await home.call(["stop", "j"])).stdout).to.match(/^j was down; [3-9] process/);
    await isClean();
    expect((await home.call(["resume", "j", "--detach"])).code).to.equal(0);
    await home.until("j", "the job to run again", (s) => s.stage === "running" && s.master.pid !== null);

    expect((await home.call(["pause", "j"])).code).to.equal(0);
    await kill();
    expect((await home.call(["resume", "j", "--detach"])).code).to.equal(0);
    await home.until("j", "the paused job to run", (s) => s.stage === "running" && s.ranks.some((rank) => rank.state === "running"));
    await kill();

    const dir = join(home.path, "jobs/j");
    for (const name of readdirSync(dir).filter((file) => file.startsWith("state.db"))) {
      const file = openSync(join(dir, name), "r+");
      for (let at = 4_096; at < 40_960; at += 512) writeSync(file, "not what was written", at);
    }
    const damaged = await home.call(["resume", "j", "--json"]);
    expect(damaged.code, damaged.stderr).to.equal(1);
    const { error } = JSON.parse(damaged.stdout) as { error: { code: string; message: string; hint: string } };
    expect(error.code).to.equal("STATE_DAMAGED");
    expect(error.hint).to.include("sqlite3 FILE .recover");
    await isClean();
    expect((await home.call(["stop", "j"])).stdout).to.include("j was down");
  });
});
