/** `kill -9` of everything, with real processes and real torch: what dies, what must go on, and that nothing is left behind. */

import { expect } from "chai";
import { DroverHome, type StatusJson, ddpTrain, isAlive, python, waitFor } from "./drover-process.js";

describe("kill -9", function () {
  this.timeout(120_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const steps = 120;
  const train = (...more: string[]): string[] => [
    ...["run", "--name", "j", "--nproc-per-node", "2", "--max-restarts", "20", "--keep-warm", "0", "--python", python, ...more],
    ...[ddpTrain, "--out", home.out, "--steps", String(steps), "--step-seconds", "0.05"],
  ];
  const lastStep = (rank: number): number => {
    const last = home.steps(rank).at(-1);
    return typeof last?.step === "number" ? last.step : -1;
  };
  const trains = async (step: number): Promise<StatusJson> => {
    await waitFor(`step ${step} of both ranks`, () => (lastStep(0) >= step && lastStep(1) >= step ? true : undefined), 60_000);
    return home.until("j", "two ranks running", (s) => s.stage === "running" && s.ranks.filter((r) => r.state === "running").length === 2);
  };
  const pidsOf = (status: StatusJson): number[] => status.ranks.flatMap((rank) => (rank.pid === null ? [] : [rank.pid]));
  const kill = (pid: number | null | undefined): void => {
    if (pid === null || pid === undefined) throw new Error("there is no process to kill");
    process.kill(pid, "SIGKILL");
  };
  const nurseries = (): number[] =>
    home.leftovers().flatMap((line) => (line.includes("drover_nursery") && line.includes("nursery.sock") ? [Number(line.split(" ", 1)[0])] : []));
  const succeeds = async (finished: Promise<{ code: number | null; stdout: string; stderr: string }>): Promise<StatusJson> => {
    const end = await finished;
    expect(end.code, end.stderr + end.stdout).to.equal(0);
    const status = await home.status("j");
    expect(status.stage).to.equal("succeeded");
    expect(lastStep(0)).to.equal(steps - 1);
    expect(lastStep(1)).to.equal(steps - 1);
    await waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 10_000);
    return status;
  };

  it("of a rank restarts the world and the job succeeds", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    kill(before.ranks[1]?.pid);
    const status = await succeeds(finished);
    expect(status.restarts).to.equal(1);
  });

  it("of all ranks at once costs one restart", async () => {
    const { finished } = home.start(train());
    pidsOf(await trains(5)).forEach(kill);
    const status = await succeeds(finished);
    expect(status.restarts).to.equal(1);
  });

  it("of the nursery takes its ranks along and the job succeeds", async () => {
    const { finished } = home.start(train());
    await trains(5);
    nurseries().forEach(kill);
    await succeeds(finished);
  });

  it("of the agent restarts no rank: the next agent adopts them", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    kill(before.nodes[0]?.agentPid);
    const after = await home.until("j", "another agent", (s) => {
      const pid = s.nodes[0]?.agentPid ?? null;
      return pid !== null && pid !== before.nodes[0]?.agentPid;
    });
    expect(pidsOf(after)).to.deep.equal(pidsOf(before));
    expect((await succeeds(finished)).restarts).to.equal(0);
  });

  it("of the master restarts no rank, and no step takes over a second", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    kill(before.master.pid);
    const after = await home.until("j", "another master", (s) => s.master.pid !== null && s.master.pid !== before.master.pid);
    expect(after.master.address).to.equal(before.master.address);
    expect(pidsOf(after)).to.deep.equal(pidsOf(before));
    expect((await succeeds(finished)).restarts).to.equal(0);
    const times = home.steps(0).flatMap((line) => (line.step === "start" ? [] : [line.at]));
    const slowest = Math.max(...times.slice(1).map((at, index) => at - (times[index] ?? at)));
    expect(slowest, "slowest step in seconds").to.be.below(1);
  });

  it("of the foreground command lets the job go on", async () => {
    const { child, finished } = home.start(train());
    await trains(5);
    child.kill("SIGKILL");
    await finished;
    await home.until("j", "the job to succeed", (s) => s.stage === "succeeded", 60_000);
    await waitFor("nothing to be left", () => (home.leftovers().length === 0 ? true : undefined), 10_000);
  });

  it("of master, agent and a rank at the same moment loses nothing", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    kill(before.master.pid);
    kill(before.nodes[0]?.agentPid);
    kill(before.ranks[0]?.pid);
    expect((await succeeds(finished)).restarts).to.equal(1);
  });

  it("of the master while a recovery is under way loses nothing", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    kill(before.ranks[0]?.pid);
    kill(before.master.pid);
    expect((await succeeds(finished)).restarts).to.equal(1);
  });

  it("of the watchdog, then of the master: both come back", async () => {
    const { finished } = home.start(train());
    const before = await trains(5);
    const watchdogs = (): number[] => home.leftovers().flatMap((l) => (l.includes("bin/watchdog.js") ? [Number(l.split(" ", 1)[0])] : []));
    const [first] = watchdogs();
    kill(first);
    await waitFor("another watchdog", () => watchdogs().find((pid) => pid !== first && isAlive(pid)), 10_000);
    kill(before.master.pid);
    expect((await succeeds(finished)).restarts).to.equal(0);
  });
});
