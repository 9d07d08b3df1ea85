/** What is found wrong with a job, by what evidence, and what becomes of it: hangs, lost losses, memory, hosts that are too small. */

import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DroverHome, droverPath, type Finished, isAlive, python } from "./drover-process.js";

type Finding = { kind: string; summary: string; rank: number | null; evidence: string; action: string };

describe("the diagnosis of a job", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const run = (options: readonly string[], lines: readonly string[]): Promise<Finished> => {
    const path = join(home.path, "train.py");
    writeFileSync(path, `${lines.join("\n")}\n`);
    return home.start(["run", "--name", "j", "--no-warm", "--python", python, ...options, path]).finished;
  };
  const events = async (type: string): Promise<Record<string, unknown>[]> => {
    const { stdout } = await home.call(["events", "j", "--type", type, "--json"]);
    return stdout.trim().split("\n").map((line) => (JSON.parse(line) as { event: Record<string, unknown> }).event);
  };
  const findings = async (): Promise<Finding[]> => (await events("finding-made")).map(({ finding }) => finding as Finding);

  it("finds a hang, says who keeps the others waiting, shows the stacks of all ranks, and restarts them", async () => {
    const { code, stdout, stderr } = await run(["--nproc-per-node", "2", "--hang-timeout", "1500ms"], [
      "import os, time",
      "first = os.environ['TORCHELASTIC_RESTART_COUNT'] == '0'",
      "def load_a_batch_for_ever():",
      "    time.sleep(600)",
      "def all_reduce():",
      "    time.sleep(600)",
      "for step in range(1, 8):",
      "    if first and step == 5:",
      "        load_a_batch_for_ever() if os.environ['RANK'] == '1' else all_reduce()",
      "    print('step', step, flush=True)",
      "    time.sleep(0.1)",
    ]);
    expect(code, stderr + stdout).to.equal(0);
    const [hang, ...others] = await findings();
    expect(others).to.deep.equal([]);
    expect(hang).to.include({ kind: "hang", rank: 1, action: "restart-ranks" });
    expect(hang?.summary).to.match(/^No rank has made a step for [\d.]+ s\. The others seem to wait for rank 1: they are in all_reduce \(train.py:6\), it is not\.$/);
    expect(hang?.evidence).to.include("load_a_batch_for_ever").and.to.include("all_reduce").and.to.match(/rank 0\b[^]*rank 1\b/);
    expect((await home.status("j")).restarts).to.equal(1);
  });

  it("ends the job at a NaN loss where it is told to", async () => {
    const { code, stdout, stderr } = await run(["--on-nan", "fail"], ["import time", "print('step 3 loss nan', flush=True)", "time.sleep(600)"]);
    expect(code).to.equal(1);
    expect(stderr + stdout).to.include("The loss of rank 0 is not a number at step 3.");
    expect((await home.status("j")).reason?.code).to.equal("NAN_LOSS");
    expect(await findings()).to.have.nested.property("[0].kind", "nan-loss");
  });

  it("gives the heir of a node that ran out of memory more of it", async () => {
    const { code, stdout, stderr } = await run(["--memory-per-node", "256M", "--max-restarts", "0"], [
      "import os",
      "if os.environ['NODE_ID'] == 'worker-0' or os.environ['NODE_ID'] == '0': raise MemoryError('no room for the batch')",
    ]);
    const because = (await events("scale-decided")).map((event) => event["because"]);
    expect(because).to.include("worker-1 with 384 MiB of memory takes the place of worker-0: rank 0 ran out of memory");
    expect(code, stderr + stdout).to.equal(0);
    expect(await home.status("j")).to.include({ restarts: 0, relaunches: 1 });
  });

  it("takes a node for lost that is not heard of, ends what is left of it, and puts another in its place", async () => {
    const finished = run(["--heartbeat-timeout", "1500ms", "--shutdown-timeout", "60", "--max-restarts", "0"], [
      "import os, time",
      "print('began', flush=True)",
      "time.sleep(0 if os.environ['DROVER_NODE_ID'] == 'worker-1' else 600)",
    ]);
    const { nodes, ranks } = await home.until("j", "a rank to run", (status) => status.ranks[0]?.state === "running" && status.ranks[0].pid !== null);
    process.kill(nodes[0]?.agentPid ?? 0, "SIGSTOP");
    const { code, stdout, stderr } = await finished;
    expect(code, stderr + stdout).to.equal(0);
    expect(await home.status("j")).to.include({ restarts: 0, relaunches: 1 });
    const [ended] = await events("node-ended");
    expect(ended).to.include({ node: "worker-0", state: "lost" });
    expect(ended?.["because"]).to.match(/^not heard of for \d+ s$/);
    expect(isAlive(ranks[0]?.pid ?? 0)).to.equal(false);
  });

  it("does not begin on a host that is unfit, and says why and what to do", async () => {
    const path = join(home.path, "train.py");
    writeFileSync(path, "print('hello')\n");
    const command = `ulimit -n 250; exec "$0" "$@"`;
    const args = ["-c", command, process.execPath, droverPath, "run", "--name", "j", "--no-warm", "--python", python, path];
    const { status, stdout, stderr } = spawnSync("bash", args, { env: { ...process.env, DROVER_HOME: home.path }, encoding: "utf8" });
    expect(status).to.equal(1);
    expect(stdout + stderr).to.include("A process may open 250 files; ranks with data loaders need 1024 or more. Raise it with ulimit -n");
    const { reason, relaunches } = await home.status("j");
    expect([reason?.code, relaunches]).to.deep.equal(["PRECHECK_FAILED", 1]);
    expect(await findings()).to.have.nested.property("[0].kind", "precheck-failed");
  });

  it("refuses what no host can hold, with a sentence that says why", async () => {
    const { code, stdout, stderr } = await run(["--cpus-per-node", "4096"], ["print('hello')"]);
    expect(code).to.equal(1);
    expect(stderr + stdout).to.match(/worker-0 can never be placed: it takes 4096 of cpu, and host \S+ has \d+\./);
    expect((await home.status("j")).reason?.code).to.equal("CANNOT_PLACE");
  });
});
