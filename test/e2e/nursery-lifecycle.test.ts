/** What dies, what goes on and what is left behind, with real processes: ranks, agents, nurseries, zygotes. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { expect } from "chai";
import { isAlive, outputOf, waitFor } from "./drover-process.js";
import { NurseryFolder, rankOf, type Talk } from "./nursery-process.js";

/** Living processes whose environment holds `text`. */
function processesWith(text: string): number[] {
  return readdirSync("/proc").flatMap((name) => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/environ`, "utf8").includes(text) && isAlive(Number(name)) ? [Number(name)] : [];
    } catch {
      return []; // It ended while we looked, or is not ours.
    }
  });
}

const gone = (pid: number): Promise<true> => waitFor(`process ${pid} to be gone`, () => (isAlive(pid) ? undefined : true), 10_000);

describe("a nursery", function () {
  this.timeout(240_000);
  let folder: NurseryFolder;

  beforeEach(() => {
    folder = new NurseryFolder();
  });
  afterEach(() => folder.close());

  const command = (text: string): { kind: "command"; target: string; args: string[] } => ({ kind: "command", target: "sh", args: ["-c", text] });
  const start = async (agent: Talk, token: string, text: string, more: Record<string, unknown> = {}): Promise<number> => {
    const answer = await agent.ask("start-rank", rankOf(folder, token, command(text), more));
    expect(answer, JSON.stringify(answer)).to.include({ ok: true });
    return answer["pid"] as number;
  };
  const warm = async (keepWarm = "0"): Promise<{ zygote: Talk; agent: Talk }> => {
    const zygote = await folder.zygote(["--preload", "json", "--keep-warm", keepWarm]);
    return { zygote, agent: await folder.fork(zygote) };
  };

  it("reports how a rank ended: code, signal, times", async () => {
    const agent = await folder.cold();
    await start(agent, "code", "exit 3");
    expect(await agent.exitOf("code")).to.include({ exitCode: 3, signal: null, coreDumped: false });
    await start(agent, "signal", "kill -SEGV $$");
    expect(await agent.exitOf("signal")).to.include({ exitCode: null, signal: "SIGSEGV" });
    const exit = await agent.exitOf("code");
    expect(exit.maxRssKb).to.be.above(100);
    expect(exit.atMs).to.be.closeTo(Date.now(), 10_000);
  });

  it("gives ranks the limits that it was started with, whatever its own are", async () => {
    const agent = await folder.cold();
    await start(agent, "limits", "ulimit -Sn; ulimit -Hn");
    await agent.exitOf("limits");
    expect(folder.read("limits.out")).to.equal(await outputOf("sh", ["-c", "ulimit -Sn; ulimit -Hn"]));
  });

  it("keeps exit statuses for an agent that comes back, until they are forgotten", async () => {
    const first = await folder.cold();
    const pid = await start(first, "lives", "sleep 60");
    await start(first, "ends", "exit 5");
    first.close();
    const second = await folder.agent();
    const state = await waitFor("both ranks' state", async () => {
      const status = await second.ask("status");
      const ranks = status["ranks"] as { token: string; pid: number; state: string; exit: { exitCode: number } | null }[];
      return ranks.some((rank) => rank.state === "exited") ? ranks : undefined;
    });
    expect(state.find((rank) => rank.token === "lives")).to.include({ pid, state: "running" });
    expect(state.find((rank) => rank.token === "ends")?.exit?.exitCode).to.equal(5);
    expect(await second.ask("forget-rank", { token: "lives" })).to.include({ ok: false, code: "RANK_LIVES" });
    expect(await second.ask("forget-rank", { token: "ends" })).to.include({ ok: true });
    expect(((await second.ask("status"))["ranks"] as unknown[]).length).to.equal(1);
  });

  it("obeys one agent, the newest", async () => {
    const first = await folder.cold();
    const second = await folder.agent();
    await first.event("replaced");
    await waitFor("the first connection to be closed", () => (first.isClosed ? true : undefined));
    const onlooker = await folder.talk(folder.socket);
    expect(await onlooker.ask("stop-ranks")).to.include({ ok: false, code: "NOT_THE_AGENT" });
    expect(await onlooker.ask("status")).to.include({ ok: true, mode: "cold" });
    expect(await second.ask("no-such-thing")).to.include({ ok: false, code: "UNKNOWN_REQUEST" });
    expect(await second.ask("start-rank", { token: 5 })).to.include({ ok: false, code: "BAD_REQUEST" });
    second.write("this is no JSON\n");
    expect(await second.ask("status")).to.include({ ok: true });
  });

  it("refuses what cannot be started, and says what is missing", async () => {
    const agent = await folder.cold();
    const refused = async (program: { kind?: "command"; target: string }, more = {}): Promise<string> => {
      const answer = await agent.ask("start-rank", rankOf(folder, "r", program, more));
      expect(answer).to.include({ ok: false, code: "CANNOT_START" });
      return String(answer.message);
    };
    expect(await refused({ kind: "command", target: "no-such-program" })).to.match(/no-such-program: No such file/);
    expect(await refused({ kind: "command", target: "true" }, { cwd: "/no/such/folder" })).to.match(/\/no\/such\/folder/);
    expect(await refused({ kind: "command", target: "true" }, { stdoutPath: "/no/such/out" })).to.match(/\/no\/such\/out/);
    await start(agent, "twice", "sleep 60");
    expect(await agent.ask("start-rank", rankOf(folder, "twice", command("true")))).to.include({ ok: false, code: "RANK_EXISTS" });
  });

  it("stops a round's ranks: SIGTERM, a grace, SIGKILL, and only that round's", async () => {
    const agent = await folder.cold();
    const polite = await start(agent, "polite", "trap 'echo bye; exit 4' TERM; while :; do sleep 0.05; done");
    const deaf = await start(agent, "deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    const next = await start(agent, "next", "sleep 60", { round: 2 });
    await waitFor("the trap", () => (folder.read("deaf.out").includes("ready") ? true : undefined));
    const answer = await agent.ask("stop-ranks", { round: 1, graceMs: 400 });
    expect(answer["stopped"]).to.deep.equal(["deaf", "polite"]);
    expect([polite, deaf, next].map(isAlive)).to.deep.equal([false, false, true]);
    expect(await agent.exitOf("polite")).to.include({ exitCode: 4 });
    expect(await agent.exitOf("deaf")).to.include({ signal: "SIGKILL" });
    expect(folder.read("polite.out")).to.equal("bye\n");
  });

  it("cuts a grace short when it is asked again", async () => {
    const agent = await folder.cold();
    await start(agent, "deaf", "trap '' TERM; echo ready; while :; do sleep 0.05; done");
    await waitFor("the trap", () => (folder.read("deaf.out").includes("ready") ? true : undefined));
    const began = Date.now();
    const slow = agent.ask("stop-ranks", { graceMs: 60_000 });
    await agent.ask("stop-ranks", { graceMs: 0 });
    await slow;
    expect(Date.now() - began).to.be.below(10_000);
  });

  for (const mode of ["cold", "warm"]) {
    it(`leaves nothing of a dead rank behind: children, daemons, a session of their own (${mode})`, async () => {
      const agent = mode === "cold" ? await folder.cold() : (await warm()).agent;
      writeFileSync(
        folder.file("family.py"),
        [
          "import os, subprocess, sys, time",
          "subprocess.Popen(['sleep', '600'])",
          "if os.fork() == 0:",
          "    os.setsid()",
          "    if os.fork() == 0:",
          "        subprocess.Popen(['sleep', '600'], start_new_session=True)",
          "        time.sleep(600)",
          "    os._exit(0)",
          "if os.fork() == 0:",
          "    time.sleep(600)",
          "print('ready', flush=True)",
          "time.sleep(600)",
        ].join("\n"),
      );
      const answer = await agent.ask("start-rank", rankOf(folder, "family", { target: folder.file("family.py") }));
      expect(answer["warm"]).to.equal(mode === "warm");
      await waitFor("the family", () => (processesWith("DROVER_RANK_TOKEN=family").length >= 5 ? true : undefined));
      const family = processesWith("DROVER_RANK_TOKEN=family");
      process.kill(answer["pid"] as number, "SIGKILL");
      await agent.exitOf("family");
      for (const pid of family) await gone(pid);
    });

    it(`takes its ranks along when it is killed (${mode})`, async () => {
      const agent = mode === "cold" ? await folder.cold() : (await warm()).agent;
      writeFileSync(folder.file("sleep.py"), "import time\nprint('ready', flush=True)\ntime.sleep(600)\n");
      const answer = await agent.ask("start-rank", rankOf(folder, "sleeper", { target: folder.file("sleep.py") }));
      await waitFor("the rank", () => (folder.read("sleeper.out") === "ready\n" ? true : undefined));
      process.kill((await agent.ask("status"))["pid"] as number, "SIGKILL");
      await gone(answer["pid"] as number);
    });
  }

  it("kills what an earlier nursery left, found by the token's prefix", async () => {
    const agent = await folder.cold();
    await start(agent, "job/n0/r1", "setsid sleep 600 & echo started; wait", { stdoutPath: folder.file("out"), stderrPath: "/dev/null" });
    await waitFor("the child", () => (processesWith("DROVER_RANK_TOKEN=job/n0/r1").length === 2 ? true : undefined));
    process.kill((await agent.ask("status"))["pid"] as number, "SIGKILL");
    const [orphan] = await waitFor("one orphan", () => {
      const found = processesWith("DROVER_RANK_TOKEN=job/n0/r1");
      return found.length === 1 ? found : undefined;
    });
    await folder.cold(["--token-prefix", "job/n0/"]);
    await gone(orphan ?? 0);
  });

  it("ends its ranks and itself when no agent comes back", async () => {
    const agent = await folder.cold(["--orphan-timeout", "0.3"]);
    const nursery = (await agent.ask("status"))["pid"] as number;
    const rank = await start(agent, "r", "sleep 600");
    await new Promise((resolve) => setTimeout(resolve, 600));
    expect([rank, nursery].map(isAlive), "while an agent is there").to.deep.equal([true, true]);
    agent.close();
    await gone(rank);
    await gone(nursery);
    expect(readdirSync(folder.path)).not.to.include("nursery.sock");
  });

  it("ends when asked to, but not while a rank lives", async () => {
    const agent = await folder.cold();
    const nursery = (await agent.ask("status"))["pid"] as number;
    await start(agent, "r", "sleep 600");
    expect(await agent.ask("exit")).to.include({ ok: false, code: "RANKS_LIVE" });
    await agent.ask("stop-ranks", { graceMs: 0 });
    expect(await agent.ask("exit")).to.include({ ok: true });
    await gone(nursery);
  });

  it("stops its ranks at SIGTERM, then ends", async () => {
    const agent = await folder.cold();
    const nursery = (await agent.ask("status"))["pid"] as number;
    const rank = await start(agent, "r", "sleep 600");
    process.kill(nursery, "SIGTERM");
    await gone(rank);
    await gone(nursery);
  });

  it("has the socket to itself, and replaces that of a dead one", async () => {
    const agent = await folder.cold();
    const pid = (await agent.ask("status"))["pid"] as number;
    await folder.cold();
    expect(isAlive(pid)).to.equal(true);
    process.kill(pid, "SIGKILL");
    await gone(pid);
    const next = await folder.cold();
    expect((await next.ask("status"))["pid"]).not.to.equal(pid);
  });

  it("drops a peer whose line has no end", async () => {
    const agent = await folder.cold();
    const socket = connect(folder.socket);
    const closed = new Promise((resolve) => socket.on("close", resolve).on("error", () => undefined));
    socket.write(Buffer.alloc(9 * 1024 * 1024, "x"));
    await closed;
    expect(await agent.ask("status")).to.include({ ok: true });
  });

  it("is replaced by its zygote when it is killed", async () => {
    const { zygote, agent } = await warm();
    const pid = (await agent.ask("status"))["pid"] as number;
    const rank = await start(agent, "r", "setsid sleep 600 & wait");
    process.kill(pid, "SIGKILL");
    await zygote.event("nursery-exited", (event) => event.pid === pid);
    await gone(rank);
    const next = await folder.fork(zygote);
    expect(await next.ask("status")).to.include({ mode: "warm" });
    await waitFor("nothing of the rank to be left", () => (processesWith("DROVER_RANK_TOKEN=r\0").length === 0 ? true : undefined));
  });

  it("goes on when its zygote is killed", async () => {
    const { zygote, agent } = await warm();
    process.kill((await zygote.ask("status"))["pid"] as number, "SIGKILL");
    await waitFor("the zygote's end", () => (zygote.isClosed ? true : undefined));
    await start(agent, "r", "exit 0");
    expect(await agent.exitOf("r")).to.include({ exitCode: 0 });
  });
});

describe("a zygote", function () {
  this.timeout(240_000);
  let folder: NurseryFolder;

  beforeEach(() => {
    folder = new NurseryFolder();
  });
  afterEach(() => folder.close());

  it("ends by itself when it was kept warm for long enough", async () => {
    const zygote = await folder.zygote(["--preload", "json", "--keep-warm", "0.5"]);
    const pid = (await zygote.ask("status"))["pid"] as number;
    const agent = await folder.fork(zygote);
    zygote.close();
    await new Promise((resolve) => setTimeout(resolve, 900));
    expect(isAlive(pid), "while a nursery lives").to.equal(true);
    await agent.ask("exit");
    await gone(pid);
    expect(readdirSync(folder.path)).not.to.include("zygote.sock");
  });

  it("forks no nursery for one that died while it was loading", async () => {
    const dying = await folder.zygote(["--preload", "numpy"]);
    const other = await folder.talk(folder.zygoteSocket);
    dying.ask("fork-nursery", { socketPath: folder.socket }).catch(() => undefined);
    dying.close();
    expect((await other.ask("status"))["torch"]).to.equal(null); // It has loaded.
    expect(await (await folder.fork(other)).ask("status")).to.include({ mode: "warm", ok: true });
    expect((await other.ask("status"))["nurseries"]).to.have.length(1);
  });

  it("loads what another script needs when it meets it", async () => {
    const zygote = await folder.zygote(["--preload", "json"]);
    expect((await zygote.ask("status"))["torch"]).to.equal(null);
    writeFileSync(folder.file("helper.py"), "import numpy\n");
    writeFileSync(folder.file("train.py"), "import helper\nimport sys\nprint('numpy' in sys.modules)\n");
    writeFileSync(folder.file("look.py"), "import sys\nprint('numpy' in sys.modules)\n");
    const agent = await folder.fork(zygote, { script: folder.file("train.py") });
    await agent.ask("start-rank", rankOf(folder, "r", { target: folder.file("look.py") }));
    expect(await agent.exitOf("r")).to.include({ exitCode: 0 });
    expect(folder.read("r.out"), "what helper.py imports was there").to.equal("True\n");
  });

  it("learns from a run what else to load", async () => {
    const zygote = await folder.zygote(["--preload", "json"]);
    writeFileSync(folder.file("train.py"), "import importlib\nimportlib.import_module('num' + 'py')\n");
    const hintsPath = folder.file("hints.json");
    const agent = await folder.fork(zygote, { script: folder.file("train.py"), hintsPath });
    await agent.ask("start-rank", rankOf(folder, "r", { target: folder.file("train.py") }, { hintsPath }));
    await agent.exitOf("r");
    const { modules } = JSON.parse(folder.read("hints.json")) as { modules: string[] };
    expect(modules).to.include("numpy").and.not.include("json");
  });

  it("does without a module that starts a thread or reads a rank's variable when it is imported", async () => {
    const modules = {
      threads_at_import: "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n",
      reads_rank: "import os\nrank = int(os.environ.get('LOCAL_RANK', 0))\n",
      innocent: "import os\nhome = os.environ.get('HOME')\n",
    };
    for (const [name, text] of Object.entries(modules)) writeFileSync(folder.file(`${name}.py`), text);
    const zygote = await folder.zygote(["--preload", "json,threads_at_import,reads_rank,innocent"], { ...process.env, PYTHONPATH: folder.path });
    expect((await zygote.ask("status"))["avoided"]).to.deep.equal(["reads_rank", "threads_at_import"]);
  });

  it("tries out a module in a child once it is in use", async () => {
    writeFileSync(folder.file("fatal.py"), "import os\nos._exit(1)\n");
    writeFileSync(folder.file("reads_rank.py"), "import os\nrank = os.environ.get('RANK')\n");
    const zygote = await folder.zygote(["--preload", "json"], { ...process.env, PYTHONPATH: folder.path });
    const agent = await folder.fork(zygote);
    const answer = await zygote.ask("fork-nursery", { socketPath: folder.file("other.sock"), preload: ["fatal"] });
    const third = await zygote.ask("fork-nursery", { socketPath: folder.file("third.sock"), preload: ["reads_rank"] });
    expect([answer.ok, third.ok]).to.deep.equal([true, true]);
    expect((await zygote.ask("status"))["avoided"]).to.deep.equal(["fatal", "reads_rank"]);
    expect(await agent.ask("status")).to.include({ ok: true });
    for (const path of ["other.sock", "third.sock"]) {
      const other = await folder.talk(folder.file(path));
      await other.ask("hello", { takeOver: true });
      expect(await other.ask("exit")).to.include({ ok: true });
    }
  });

  it("shows others which of its processes is which", async () => {
    const zygote = await folder.zygote(["--preload", "json"]);
    const commandLine = (pid: unknown): string => readFileSync(`/proc/${String(pid)}/cmdline`, "utf8").replaceAll("\0", " ").trim();
    const agent = await folder.fork(zygote);
    writeFileSync(folder.file("sleep.py"), "import time\ntime.sleep(600)\n");
    const rank = await agent.ask("start-rank", rankOf(folder, "shown", { target: "sleep.py", args: ["--some", "thing"] }));
    expect(commandLine((await zygote.ask("status"))["pid"])).to.match(/drover_nursery zygote .*zygote\.sock$/);
    expect(commandLine((await agent.ask("status"))["pid"])).to.match(/drover_nursery nursery .*nursery\.sock$/);
    expect(commandLine(rank["pid"])).to.match(/python\S* -u sleep\.py --some thing$/);
    expect(processesWith("DROVER_RANK_TOKEN=shown")).to.deep.equal([rank["pid"]]);
  });
});
