/** `drover run --agent dlrover`: dlrover-run as the agent of each node, started, watched and ended by the Scheduler. */

import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { fixtures, killMaster, ranksOf, wires } from "./dlrover-agent.js";
import { dlroverPython } from "./dlrover-python.js";
import { DroverHome, type Finished, waitFor } from "./drover-process.js";

const kills = 10;

type Step = Readonly<{ step: number; begun: number; sum: number; world: number; life: string }>;

describe("drover run --agent dlrover", function () {
  this.timeout(600_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
    mkdirSync(home.out, { recursive: true });
  });
  afterEach(async () => {
    await home.call(["stop", "j", "--kill"]);
    home.close();
  });

  const run = (args: readonly string[], script: string, env: Record<string, string> = {}): ReturnType<DroverHome["start"]> =>
    home.start(["run", "--name", "j", "--agent", "dlrover", "--python", dlroverPython, ...args, join(fixtures, script)], { OUT: home.out, OMP_NUM_THREADS: "1", ...env });
  const steps = (rank: number): Step[] => {
    if (!readdirSync(home.out).includes(`rank-${rank}.txt`)) return [];
    const lines = readFileSync(join(home.out, `rank-${rank}.txt`), "utf8").split("\n").filter((line) => line.endsWith("}"));
    return lines.map((line) => JSON.parse(line) as Step);
  };
  const untilStep = (step: number, isSo: (line: Step) => boolean = () => true): Promise<Step> =>
    waitFor(() => `step ${step}; said: ${execFileSync("sh", ["-c", `tail -n 30 ${home.path}/jobs/j/logs/*`], { encoding: "utf8" })}`, () => steps(0).find((line) => line.step >= step && isSo(line)));
  const isClean = async (): Promise<void> => {
    const memory = (): string[] => readdirSync("/dev/shm").filter((name) => name.startsWith("drover-j~"));
    await waitFor(() => `nothing to be left: ${home.leftovers().join("; ")} ${memory().join(" ")}`, () => (home.leftovers().length + memory().length === 0 ? true : undefined), 15_000);
  };
  const textOf = ({ stdout, stderr }: Finished): string => stdout + stderr;

  it("trains to the end on two nodes, with the output where drover logs finds it", async () => {
    const ended = await run(["--nnodes", "2", "--nproc-per-node", "1"], "train.py", { STEPS: "20" }).finished;
    expect(ended.code, textOf(ended)).to.equal(0);
    const { ranks, restarts, relaunches } = await home.status("j");
    expect(ranks.map(({ node, state }) => `${node} ${state}`)).to.deep.equal(["worker-0 succeeded", "worker-1 succeeded"]);
    expect([restarts, relaunches]).to.deep.equal([0, 0]);
    const { stdout } = await home.call(["logs", "j"]);
    expect(stdout).to.include("[worker-0]").and.include("[worker-1]").and.include("Succeeded and exit");
    expect(stdout).to.not.include("SignalException");
    await isClean();
  });

  for (const wire of wires) it(`goes on from the checkpoint in memory when ranks are killed, from the start when the agent is, while the master is killed, over ${wire}`, async () => {
    const { finished } = run(["--nproc-per-node", "2", "--max-restarts", "5"], "flash.py", { STEPS: "150", DLROVER_MASTER_SERVICE_TYPE: wire });
    const first = await untilStep(10);
    const killing = killMaster(home, kills);
    const [rank] = ranksOf(home.path, "flash.py");
    if (rank === undefined) throw new Error("no rank runs");
    process.kill(rank, "SIGKILL");
    const second = await untilStep(first.step, ({ life, begun }) => life !== first.life && begun > 0);
    await killing;
    expect(steps(0).filter(({ sum, step }) => sum !== 2 * step)).to.deep.equal([]); // Nothing was lost of the state, nothing counted twice.
    const [node] = (await home.status("j")).nodes;
    process.kill(node?.agentPid ?? 0, "SIGKILL");
    const third = await untilStep(1, ({ life }) => life !== first.life && life !== second.life);
    expect(third.begun).to.equal(0);
    const ended = await finished;
    expect(ended.code, textOf(ended).slice(-3_000)).to.equal(0);
    expect((await home.status("j")).relaunches).to.equal(1);
    await isClean();
  });

  it("trains again, and to the end, when a node is lost after the ranks of the other have ended well", async () => {
    const { finished } = run(["--nnodes", "2", "--nproc-per-node", "1"], "train.py", { STEPS: "10", LAST_RANK: "1" });
    await untilStep(9);
    await waitFor("the first rank to end", () => (existsSync(join(home.out, "done-0")) ? true : undefined));
    const { life } = steps(0).at(-1) as Step;
    process.kill((await home.status("j")).nodes[1]?.agentPid ?? 0, "SIGKILL");
    await untilStep(9, (line) => line.life !== life && line.world === 2);
    writeFileSync(join(home.out, "go"), "");
    const ended = await finished;
    expect(ended.code, textOf(ended).slice(-3_000)).to.equal(0);
    expect((await home.status("j")).ranks.map(({ node, state }) => `${node} ${state}`)).to.deep.equal(["worker-0 succeeded", "worker-1 succeeded"]);
    await isClean();
  });

  it("fails with the error of a rank that fails for good", async () => {
    const ended = await run(["--max-restarts", "1"], "train.py", { FAIL_RANK: "0", FAIL_STEP: "3", FAIL_ALWAYS: "1" }).finished;
    expect(ended.code).to.be.oneOf([1, 134]); // torch aborts where a process group is left open by an error.
    expect((await home.status("j")).reason?.code).to.equal("RANK_FAILED");
    await isClean();
  });

  it("is stopped with its agents and ranks", async () => {
    const { finished } = run(["--nnodes", "2"], "train.py", { STEPS: "100000" });
    await untilStep(2);
    expect((await home.call(["stop", "j"])).code).to.equal(0);
    await finished;
    expect((await home.status("j")).stage).to.equal("stopped");
    await isClean();
  });

  it("says what is lacking, and which flags are only for DLRover's agent", async () => {
    const bare = await home.call(["run", "--agent", "dlrover", "--python", "/usr/bin/python3", join(fixtures, "train.py")]);
    expect(bare.code).to.equal(1);
    expect(bare.stderr).to.match(/dlrover is not installed for \/usr\/bin\/python3|does not start on Python 3\.1[3-9]/);
    const flag = await home.call(["run", "--network-check", join(fixtures, "train.py")]);
    expect(flag.code).to.equal(2);
    expect(flag.stderr).to.include("--network-check is for DLRover's agent");
  });
});
