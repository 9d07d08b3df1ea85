/** What `--keep-warm` leaves behind: who may use it, that the next run does, and how it ends. */

import { readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { DroverHome, ddpTrain, isAlive, python, waitFor } from "./drover-process.js";

type Warm = { socket: string; pid: number; python: string; torch: string | null; nurseries: number; keepMs: number };
type Spare = { kind: "master" | "agent"; pid: number; keepMs: number };
type Kept = { warm: Warm[]; spares: Spare[] };
type Status = { master: { pid: number }; nodes: { agentPid: number }[] };

describe("--keep-warm", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const run = (name: string, keepWarm: string, script: readonly string[]): ReturnType<DroverHome["start"]> =>
    home.start(["run", "--name", name, "--nproc-per-node", "2", "--python", python, "--keep-warm", keepWarm, ...script]);
  const kept = async (): Promise<Kept> => JSON.parse((await home.call(["ps", "--json"])).stdout) as Kept;
  const warm = async (): Promise<Warm[]> => (await kept()).warm;
  const spares = (): Promise<{ master: number; agent: number }> =>
    waitFor("a spare master and a spare agent", async () => {
      const found = (await kept()).spares;
      const pidOf = (kind: string): number | undefined => found.find((spare) => spare.kind === kind)?.pid;
      const [master, agent] = [pidOf("master"), pidOf("agent")];
      return master && agent && found.length === 2 ? { master, agent } : undefined;
    });
  const isLeft = (pids: readonly number[]): Promise<true> =>
    waitFor(() => `only ${pids.join(" ")} to be left: ${home.leftovers().join("; ")}`, () => {
      const left = home.leftovers().map((line) => Number(line.split(" ", 1)[0]));
      return left.length === pids.length && left.every((pid) => pids.includes(pid)) ? true : undefined;
    }, 15_000);
  const parentOf = (pid: number): number => Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  const script = (text: string): string => {
    const path = join(home.path, "plain.py");
    writeFileSync(path, text);
    return path;
  };

  it("leaves an interpreter, a master and an agent of this user's behind, which the next run uses and drover stop --warm ends", async () => {
    const coldAtMs = Date.now();
    const first = await run("first", "1m", [ddpTrain, "--out", home.out, "--steps", "3"]).finished;
    expect(first.code, first.stderr).to.equal(0);
    const coldMs = 1_000 * (home.steps(0)[1]?.at ?? Infinity) - coldAtMs;

    const [left, ...others] = await warm();
    if (!left) throw new Error("nothing was left warm");
    expect(others).to.deep.equal([]);
    expect(left).to.include({ python, nurseries: 0, keepMs: 60_000 });
    expect(left.torch).to.match(/^\d+\.\d+/);
    const spare = await spares();
    await isLeft([left.pid, spare.master, spare.agent]);
    expect(statSync(left.socket).mode & 0o777, "mode of the socket").to.equal(0o600);
    expect(statSync(join(home.path, "spare")).mode & 0o777, "mode of the spares' folder").to.equal(0o700);
    expect(statSync(dirname(left.socket)).mode & 0o777, "mode of its folder").to.equal(0o700);
    expect((await home.call(["ps"])).stdout).to.include(String(left.pid));

    const out = join(home.path, "out-2");
    const warmAtMs = Date.now();
    const second = run("second", "1m", [ddpTrain, "--out", out, "--steps", "60"]);
    const firstStep = await waitFor("a step of the second run", () => home.steps(0, out).find(({ step }) => step === 0));
    expect(parentOf(parentOf(firstStep.pid)), "the nursery's parent").to.equal(left.pid);
    expect(1_000 * firstStep.at - warmAtMs, `ms to the first step, of ${coldMs} cold`).to.be.below(coldMs / 2);
    const { master, nodes } = JSON.parse((await home.call(["status", "second", "--json"])).stdout) as Status;
    expect([master.pid, nodes[0]?.agentPid], "master and agent of the second run").to.deep.equal([spare.master, spare.agent]);
    expect((await second.finished).code).to.equal(0);
    const next = await spares();
    await isLeft([left.pid, next.master, next.agent]);

    const stopped = await home.call(["stop", "--warm"]);
    expect(stopped.stdout).to.include("1 warm interpreter(s) and 2 spare process(es) ended");
    await isLeft([]);
    expect(await warm()).to.deep.equal([]);
  });

  it("does without spares that are stuck, and ends them", async () => {
    const plain = script("print('fine')\n");
    expect((await run("first", "1m", [plain]).finished).code).to.equal(0);
    const spare = await spares();
    for (const pid of Object.values(spare)) process.kill(pid, "SIGSTOP");
    const second = await run("second", "0", [plain]).finished;
    expect(second.code, second.stderr).to.equal(0);
    expect(Object.values(spare).map(isAlive)).to.deep.equal([true, true]); // Nobody could ask them who they are.
    for (const pid of Object.values(spare)) process.kill(pid, "SIGCONT");
    expect((await home.call(["stop", "--warm"])).stdout).to.include("2 spare process(es) ended");
    await isLeft([]);
  });

  it("is found in a home too deep for a socket's path, and ends by itself when its time is over", async () => {
    home.close();
    home = new DroverHome(`${"deep".repeat(10)}/${"deeper".repeat(10)}`);
    const { finished } = run("j", "2s", [script("print('fine')\n")]);
    const end = await finished;
    expect(end.code, end.stderr).to.equal(0);
    const endedAtMs = Date.now();
    const [left] = await warm();
    expect(left?.keepMs).to.equal(2_000);
    await isLeft([]);
    expect(isAlive(left?.pid ?? 0)).to.equal(false);
    expect(Date.now() - endedAtMs).to.be.above(1_000);
  });

  it("leaves nothing with --no-warm, which runs the plain command", async () => {
    const { finished } = run("j", "1m", ["--no-warm", script("import gc, os, sys\nprint('loaded', 'torch' in sys.modules, gc.get_freeze_count(), sys.orig_argv[1:] == ['-u', sys.argv[0]])\n")]);
    const end = await finished;
    expect(end.code, end.stderr).to.equal(0);
    expect(end.stdout).to.include("loaded False 0 True");
    expect(await warm()).to.deep.equal([]);
    await isLeft([]);
  });
});
