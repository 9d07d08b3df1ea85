/** What people look at a job with, while it runs and after it has ended; the live block of a terminal; completion in real shells. */

import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DroverHome, droverPath, type StatusJson, waitFor } from "./drover-process.js";

const ranks = `import os, sys, time
rank = os.environ["RANK"]
print("line of", rank, flush=True)
print("error of", rank, file=sys.stderr, flush=True)
while not os.path.exists("go"): time.sleep(0.05)
sys.exit(0)
`;

describe("the command, of a job", function () {
  this.timeout(240_000);
  let home: DroverHome;
  const json = async (...args: readonly string[]): Promise<unknown> => {
    const { code, stdout, stderr } = await home.call([...args, "--json"]);
    expect(code, stderr).to.equal(0);
    return JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
  };
  const linesOf = (text: string): string[] => text.trimEnd().split("\n");

  before(async () => {
    home = new DroverHome();
    writeFileSync(join(home.path, "ranks.py"), ranks);
    const begun = await home.call(["run", "--detach", "--name", "j", "--nnodes", "1:2", "--nproc-per-node", "2", "--no-warm", "ranks.py"]);
    expect(begun.code, begun.stderr).to.equal(0);
    await home.until("j", "two ranks", ({ ranks: now }) => now.filter(({ state }) => state === "running").length >= 2);
  });
  after(() => home.close());

  it("shows it while it runs: ps, status, logs, events", async () => {
    expect((await json("ps"))).to.have.nested.include({ "jobs[0].job": "j", "jobs[0].state": "live", "jobs[0].stage": "running" });
    expect((await home.call(["ps"])).stdout).to.match(/^job +state +stage/).and.to.match(/j +live +running/);
    const status = (await json("status", "j")) as StatusJson & { reason: unknown };
    for (const key of ["job", "stage", "reason", "master", "nodes", "ranks", "goodput"]) expect(status).to.have.property(key);
    for (const key of ["pid", "address", "restarts"]) expect(status.master).to.have.property(key);
    for (const key of ["id", "host", "agentPid", "state", "restarts"]) expect(status.nodes[0]).to.have.property(key);
    for (const key of ["rank", "localRank", "node", "pid", "incarnation", "state", "step"]) expect(status.ranks[0]).to.have.property(key);
    expect((await home.call(["status"])).stdout).to.match(/^j running {2}\d ranks/);
    expect(linesOf((await home.call(["logs", "j", "--rank", "1"])).stdout).sort()).to.deep.equal(["[rank 1] error of 1", "[rank 1] line of 1"]);
    const line = (await json("logs", "j", "--rank", "0")) as object;
    expect(line).to.have.all.keys("rank", "round", "stream", "text");
    const events = await home.call(["events", "j", "--type", "job-created"]);
    expect(linesOf(events.stdout)).to.have.length(1);
    expect(await json("events", "j", "--type", "job-created")).to.include({ actor: "master-orchestrator", type: "job-created", seq: 1 });
  });

  it("scales it, follows it to its end, and shows it afterwards", async () => {
    const { nodes } = await home.status("j");
    const wanted = nodes.length === 1 ? 2 : 1;
    expect(await json("scale", "j", String(wanted))).to.include({ job: "j", to: wanted });
    await home.until("j", `${wanted} node(s)`, (now) => now.nodes.filter(({ state }) => state === "running").length === wanted && now.stage === "running");
    const followers = [home.start(["logs", "j", "-f"]), home.start(["events", "j", "-f"])];
    writeFileSync(join(home.path, "go"), "");
    const [logs, events] = await Promise.all(followers.map(({ finished }) => finished));
    expect([logs?.code, events?.code]).to.deep.equal([0, 0]);
    expect(linesOf(events?.stdout ?? "").at(-1)).to.include("succeeded");
    expect(logs?.stdout).to.include("[rank 0] line of 0");
    expect(await json("status", "j")).to.include({ stage: "succeeded" });
    expect((await json("ps"))).to.have.nested.include({ "jobs[0].state": "ended" });
    expect((await home.call(["status", "nobody"])).stderr).to.match(/^drover: there is no job nobody under /);
  });

  it("looks over the machine with doctor", async () => {
    const found = await json("doctor", "--python", "python3");
    expect(JSON.stringify(found)).to.include("python").and.to.include("disk");
  });

  it("draws one live block below what the ranks print, on a terminal, without colour where NO_COLOR says so", () => {
    const program = `import os, pty, sys\nos.environ.update(COLUMNS="100", LINES="40")\nsys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))`;
    const args = ["run", "--name", "tty", "--no-warm", "--nproc-per-node", "1", "slow.py"];
    writeFileSync(join(home.path, "slow.py"), "import time\nfor step in range(6):\n    print('step', step, flush=True)\n    time.sleep(0.3)\n");
    const shown = (extra: Record<string, string>): string => {
      const env: NodeJS.ProcessEnv = { ...process.env, DROVER_HOME: home.path, TERM: "xterm-256color", ...extra };
      delete env["CI"]; // Where it is set, nobody looks: there is no colour.
      const sized = ["-c", 'stty cols 100 rows 40; exec "$@"', "sh", process.execPath, droverPath, ...args];
      const { status, stdout, stderr } = spawnSync("python3", ["-c", program, "sh", ...sized], { cwd: home.path, env, encoding: "utf8" });
      expect(status, stderr).to.equal(0);
      return stdout;
    };
    const plain = shown({ NO_COLOR: "1", FORCE_COLOR: "0" });
    const block = plain.indexOf("tty running");
    expect(block, plain).to.be.above(0);
    expect(plain.indexOf("[rank 0] step 5"), "output goes on above the block").to.be.above(block);
    expect(plain.slice(block)).to.include("\u001B[2K"); // The block is taken away and drawn again.
    expect(plain, "colours").not.to.match(/\u001B\[\d*(;\d+)*m/);
    expect(shown({})).to.match(/\u001B\[\d+m/);
  });

  it("is completed by bash, and by zsh where there is one: commands, flags, jobs", async () => {
    const script = (await home.call(["completion", "bash"])).stdout;
    const completed = (...words: readonly string[]): string[] => {
      const quoted = words.map((word) => `'${word}'`).join(" ");
      const text = `${script}\nCOMP_WORDS=(drover ${quoted}); COMP_CWORD=${words.length}; _drover; printf '%s\\n' "\${COMPREPLY[@]}"`;
      return linesOf(execFileSync("bash", ["-c", text], { env: { ...process.env, DROVER_HOME: home.path }, encoding: "utf8" }));
    };
    expect(completed("st")).to.deep.equal(["status", "stop"]);
    expect(completed("run", "--nproc")).to.deep.equal(["--nproc-per-node"]);
    expect(completed("logs", "--f")).to.deep.equal(["--follow"]);
    expect(completed("status", "")).to.include.members(["j", "tty"]);
    const zsh = await home.call(["completion", "zsh"]);
    expect(zsh.stdout).to.match(/^#compdef drover/);
    const { error, status, stderr } = spawnSync("zsh", ["-fc", `autoload -Uz compinit && compinit -u\n${zsh.stdout}\nwhence -w _drover`], { encoding: "utf8" });
    if (error === undefined) expect(status, stderr).to.equal(0);
    expect((await home.call(["completion", "fish"])).code).to.equal(2);
  });

  it("ends quietly when nobody reads on", async () => {
    await waitFor("the ended job", async () => ((await home.status("tty")).stage === "succeeded" ? true : undefined));
    const { status, stderr } = spawnSync("bash", ["-c", `set -o pipefail; node '${droverPath}' events j | head -1 >/dev/null; echo ok`], {
      env: { ...process.env, DROVER_HOME: home.path },
      encoding: "utf8",
    });
    expect([status, stderr]).to.deep.equal([0, ""]);
  });
});
