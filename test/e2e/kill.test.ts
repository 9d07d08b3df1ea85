/** `kill -9` of everything, with real processes and real torch: what dies, what must go on, and that nothing is left behind. */

import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import { type Socket, connect } from "node:net";
import { text } from "node:stream/consumers";
import { expect } from "chai";
import { DroverHome, type StatusJson, ddpTrain, isAlive, python, waitFor } from "./drover-process.js";

/** A connection to `127.0.0.1:port`, or undefined where it is refused. */
function connected(address: string): Promise<Socket | undefined> {
  const line = connect(Number(address.split(":").at(-1)), "127.0.0.1");
  return new Promise((resolve) => {
    line.once("connect", () => resolve(line));
    line.once("error", () => resolve(undefined));
  });
}

/** Whether the process holds the socket that listens at `127.0.0.1:port`. */
function listensAt(pid: number, address: string): boolean {
  const port = Number(address.split(":").at(-1)).toString(16).toUpperCase().padStart(4, "0");
  const row = readFileSync("/proc/net/tcp", "utf8").split("\n").find((line) => line.includes(`0100007F:${port} 00000000:0000 0A`));
  const inode = row?.trim().split(/\s+/)[9] ?? "none";
  return readdirSync(`/proc/${pid}/fd`).some((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`) === `socket:[${inode}]`;
    } catch {
      return false; // It was closed meanwhile.
    }
  });
}

describe("kill -9", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const steps = 90;
  const train = (...more: string[]): string[] => [
    ...["run", "--name", "j", "--nproc-per-node", "2", "--max-restarts", "20", "--keep-warm", "0", "--python", python, ...more],
    ...[ddpTrain, "--out", home.out, "--steps", String(steps), "--step-seconds", "0.05"],
  ];
  const lastStep = (rank: number): number => {
    const last = home.steps(rank).at(-1);
    return typeof last?.step === "number" ? last.step : -1;
  };
  const trains = async (step: number): Promise<StatusJson> => {
    await waitFor(`step ${step} of both ranks`, () => (lastStep(0) >= step && lastStep(1) >= step ? true : undefined));
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

  it("of the master keeps nobody out: who connects meanwhile waits for the next one", async () => {
    const { child } = home.start(train());
    let status = await trains(2);
    for (const life of ["the first, which the command started", "the second, which the watchdog did"]) {
      const { pid, restarts, address } = status.master;
      kill(pid);
      await waitFor("the master to be dead", () => (isAlive(pid ?? 0) ? undefined : true));
      const { answer, restartsThen } = await waitFor("an answer", async () => {
        const line = await connected(address ?? "");
        if (!line) return undefined;
        const known = home.record("j", "master").restarts;
        line.write("GET /healthz HTTP/1.1\r\nhost: j\r\nconnection: close\r\n\r\n");
        const said = await text(line).catch(() => ""); // Reset: the threads of the dead master held the port a moment longer.
        return said === "" ? undefined : { answer: said, restartsThen: known };
      });
      expect(answer.split("\r\n")[0], life).to.equal("HTTP/1.1 200 OK");
      expect(restartsThen, `${life}: it connected before the next served`).to.equal(restarts);
      status = await home.until("j", "another master", (s) => s.master.restarts > restarts);
      expect(status.master.address).to.equal(address);
      // It answers a moment before it has written down that it serves.
      await waitFor("its record", () => (home.record("j", "master").restarts === status.master.restarts ? true : undefined));
    }
    kill(status.nodes[0]?.agentPid);
    await home.until("j", "another agent", ({ nodes }) => nodes[0]?.agentPid !== null && nodes[0]?.agentPid !== status.nodes[0]?.agentPid);
    const holders = home.leftovers().map((line) => Number(line.split(" ", 1)[0])).filter((pid) => listensAt(pid, status.master.address ?? ""));
    expect(holders, "only the master holds its port, not what it starts").to.deep.equal([status.master.pid]);
    child.kill("SIGINT");
  });

  it("of the foreground command lets the job go on", async () => {
    const { child, finished } = home.start(train());
    await trains(5);
    child.kill("SIGKILL");
    await finished;
    await home.until("j", "the job to succeed", (s) => s.stage === "succeeded");
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
