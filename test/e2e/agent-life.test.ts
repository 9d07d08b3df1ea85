/** The agent with a real nursery and real ranks, against a scripted master: what it starts, reports and survives. */

import { expect } from "chai";
import { readFileSync } from "node:fs";
import type { RankReport } from "../../src/job/rank-report.js";
import { isAlive, waitFor } from "./drover-process.js";
import { AgentHome, exitOf } from "./agent-home.js";

const waits = "import os, sys, time\nprint('began', os.environ['RANK'], os.environ['WORLD_SIZE'], flush=True)\ntime.sleep(600)\n";

for (const isWarm of [true, false]) {
  describe(`the agent, with ${isWarm ? "warm" : "cold"} ranks`, function () {
    this.timeout(240_000);
    let home: AgentHome;

    beforeEach(() => {
      home = new AgentHome();
    });
    afterEach(() => home.close());

    const open = (script: string, nproc = 2): Promise<void> =>
      home.open(AgentHome.role(home.script("train.py", script), nproc), { warm: { isOn: isWarm, keepMs: 0 } });

    it("registers, joins with a fresh store, runs the ranks of a round and reports them", async () => {
      await open(waits);
      home.startAgent();
      const ranks = await home.runRound(1);
      expect(ranks.map(({ localRank }) => localRank)).to.deep.equal([0, 1]);
      for (const { pid } of ranks) expect(isAlive(pid)).to.equal(true);
      await home.printed(1, 1, "began 1 2");
      const [registered] = home.master.received;
      expect(registered?.what).to.equal("register");
      expect(registered?.body["facts"]).to.include({ entrypointProblem: null, canBindPorts: true });
    });

    it("ends the ranks of a round before it joins the next, and gives that another store", async () => {
      await open(waits);
      home.startAgent();
      const before = await home.runRound(1);
      const first = await home.joined(1);
      const after = await home.runRound(2);
      for (const { pid } of before) expect(isAlive(pid)).to.equal(false);
      for (const { pid } of after) expect(isAlive(pid)).to.equal(true);
      expect((await home.joined(2)).body["storePort"]).to.not.equal(first.body["storePort"]);
    });

    it("joins a round though it was sealed while old ranks took their time to end (A6)", async () => {
      await open("import signal, time\nsignal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\nprint('began', flush=True)\nwhile True: time.sleep(0.05)\n", 1);
      home.startAgent();
      await home.runRound(1);
      await home.printed(1, 0, "began");
      home.master.join("worker-0", 2, 500);
      await home.printed(1, 0, "asked");
      expect(home.master.received.some(({ what, body }) => what === "join" && body["round"] === 2)).to.equal(false);
      home.master.want("worker-0", { phase: "wait", round: 2 });
      await home.joined(2);
    });

    it("reports a killed rank at once, with its signal, and does not start it again in its round", async () => {
      await open(waits);
      home.startAgent();
      const [first] = await home.runRound(1);
      process.kill(first!.pid, "SIGKILL");
      const ranks = await home.reported((reports) => reports.some(({ state }) => state === "exited"));
      expect(ranks.find(({ localRank }) => localRank === 0)).to.include({ state: "exited", signal: "SIGKILL", exitCode: null, pid: first!.pid });
      expect(ranks.find(({ localRank }) => localRank === 1)).to.include({ state: "running" });
    });

    it("reports the exit code and the traceback of a rank that failed", async () => {
      await open("import os\nif os.environ['RANK'] == '1':\n    raise ValueError('too many sheep')\n");
      home.startAgent();
      home.master.join("worker-0", 1);
      home.master.run("worker-0", home.assignment(1, await home.joined(1)));
      const ranks = await home.reported((reports) => reports.length === 2 && reports.every(({ state }) => state === "exited"));
      expect(ranks.map(({ exitCode }) => exitCode)).to.deep.equal([0, 1]);
      expect(ranks[1]!.errorText).to.include("Traceback").and.to.include("ValueError: too many sheep");
      expect(ranks[1]!.errorText).to.not.include("drover_nursery");
    });

    it("leaves its ranks alone when it is killed, and the next agent adopts them", async () => {
      await open(waits);
      const first = home.startAgent();
      const before = await home.runRound(1);
      first.kill("SIGKILL");
      await exitOf(first);
      process.kill(before[1]!.pid, "SIGKILL"); // Nobody looks now.
      home.startAgent();
      const registered = await home.master.until("register", ({ body }) => (body["ranks"] as RankReport[]).length === 2);
      const ranks = registered.body["ranks"] as RankReport[];
      expect(ranks.find(({ localRank }) => localRank === 0)).to.include({ pid: before[0]!.pid, state: "running" });
      expect(ranks.find(({ localRank }) => localRank === 1)).to.include({ pid: before[1]!.pid, state: "exited", signal: "SIGKILL" });
      expect(isAlive(before[0]!.pid)).to.equal(true);
    });

    it("reports every rank as killed when the nursery is, and runs the next round in another nursery", async () => {
      await open(waits);
      home.startAgent();
      const before = await home.runRound(1);
      const { pid } = home.nursery();
      process.kill(pid, "SIGKILL");
      const lost = await home.reported((reports) => reports.every(({ state }) => state === "exited"));
      expect(lost.map(({ signal }) => signal)).to.deep.equal(["SIGKILL", "SIGKILL"]);
      await home.runRound(2);
      expect(home.nursery().pid).to.not.equal(pid);
      for (const rank of before) expect(isAlive(rank.pid)).to.equal(false);
    });

    it("comes back with nothing, and starts no rank twice, when agent and nursery are killed together", async () => {
      await open(waits);
      const first = home.startAgent();
      const before = await home.runRound(1);
      first.kill("SIGKILL");
      process.kill(home.nursery().pid, "SIGKILL");
      await exitOf(first);
      home.startAgent();
      const registered = await home.master.until("register", ({ body }) => body["agentPid"] !== first.pid);
      expect(registered.body["ranks"]).to.deep.equal([]);
      await home.runRound(2);
      for (const rank of before) expect(isAlive(rank.pid)).to.equal(false);
    });

    it("keeps its ranks while the master is away, and tells it afterwards what happened meanwhile", async () => {
      await open(waits);
      home.startAgent();
      const before = await home.runRound(1);
      await home.master.close();
      process.kill(before[0]!.pid, "SIGKILL");
      await waitFor("the rank to be gone", () => !isAlive(before[0]!.pid) || undefined);
      home.master.received.length = 0;
      await home.master.open();
      const ranks = await home.reported((reports) => reports.some(({ state }) => state === "exited"));
      expect(ranks.map(({ state }) => state)).to.deep.equal(["exited", "running"]);
      expect(isAlive(before[1]!.pid)).to.equal(true);
    });

    it("ends ranks, nursery and itself when it is to exit; nothing is left", async () => {
      await open("import subprocess, time\nsubprocess.Popen(['sleep', '600'], start_new_session=True)\nprint('began', flush=True)\ntime.sleep(600)\n");
      const agent = home.startAgent();
      await home.runRound(1);
      await home.printed(1, 1, "began");
      home.master.want("worker-0", { phase: "exit", graceMs: 1_000 });
      expect(await exitOf(agent)).to.equal(0);
      expect(home.leftovers()).to.deep.equal([]);
    });

    it("ends by SIGTERM as well, without a master", async () => {
      await open(waits);
      const agent = home.startAgent();
      await home.runRound(1);
      await home.master.close();
      agent.kill("SIGTERM");
      expect(await exitOf(agent)).to.equal(0);
      expect(home.leftovers()).to.deep.equal([]);
    });

    it("leaves its ranks alone when it is stale", async () => {
      await open(waits);
      const agent = home.startAgent();
      const ranks = await home.runRound(1);
      home.master.answers.set("desired", { ok: false, code: "STALE_AGENT", message: "another agent has this node" });
      home.master.want("worker-0", { phase: "wait" });
      expect(await exitOf(agent)).to.equal(0);
      for (const { pid } of ranks) expect(isAlive(pid)).to.equal(true);
    });

    it("ends ranks and itself when the master does not know its node", async () => {
      await open(waits);
      const agent = home.startAgent();
      await home.runRound(1);
      home.master.answers.set("desired", { ok: false, code: "UNKNOWN_NODE", message: "there is no such node" });
      home.master.want("worker-0", { phase: "wait" });
      expect(await exitOf(agent)).to.equal(0);
      expect(home.leftovers()).to.deep.equal([]);
    });

    it("reports progress from the file", async () => {
      await open("import json, os, time\nwith open(os.environ['DROVER_PROGRESS_FILE'], 'a') as f:\n    f.write(json.dumps({'step': 7, 'loss': float('nan'), 'samples': 64}) + '\\n')\ntime.sleep(600)\n", 1);
      home.startAgent();
      await home.runRound(1);
      const { body } = await home.master.until("progress", ({ body: { ranks } }) => JSON.stringify(ranks).includes('"step":7'));
      expect((body["ranks"] as object[])[0]).to.include({ rank: 0, step: 7, loss: "nan", samples: 64 });
    });

    it("reports the CPU and the memory of each rank, its children's included", async () => {
      await open("import subprocess, sys, time\nfilled = bytearray(64 << 20)\nsubprocess.Popen([sys.executable, '-S', '-c', 'while True: pass'])\nwhile True:\n    print('step 1', flush=True)\n    time.sleep(0.2)\n", 1);
      home.startAgent();
      await home.runRound(1);
      type Use = { memoryBytes: number; cpuCores: number };
      const isMeasured = (ranks: unknown): boolean => (ranks as Use[]).some(({ memoryBytes, cpuCores }) => memoryBytes > 64 << 20 && cpuCores > 0.1);
      const { body } = await home.master.until("progress", ({ body: { ranks } }) => isMeasured(ranks));
      expect((body["ranks"] as Use[])[0]?.cpuCores).to.be.below(3);
    });

    it("reports progress from printed lines", async () => {
      await open("import time\nprint('epoch 1 step 12/100 loss=0.25', flush=True)\ntime.sleep(600)\n", 1);
      home.startAgent();
      await home.runRound(1);
      const { body } = await home.master.until("progress", ({ body: { ranks } }) => JSON.stringify(ranks).includes('"step":12'));
      expect((body["ranks"] as object[])[0]).to.include({ loss: 0.25 });
    });

    it("answers a probe with the stacks of its ranks", async () => {
      await open("import time\ndef counting_sheep():\n    print('began', flush=True)\n    time.sleep(600)\ncounting_sheep()\n", 1);
      home.startAgent();
      await home.runRound(1);
      await home.printed(1, 0, "began");
      const assignment = home.assignment(1, await home.joined(1));
      home.master.want("worker-0", { phase: "run", round: 1, assignment, probes: [{ id: "p1", kind: "stacks" }] });
      const { body } = await home.master.until("probe", () => true);
      expect(body).to.include({ probe: "p1" });
      expect(body["text"]).to.include("rank 0, process ").and.to.include("counting_sheep");
    });

    it("keeps a ledger of the round, written before its ranks are started", async () => {
      await open(waits);
      home.startAgent();
      const ranks = await home.runRound(1);
      await waitFor("pids in the ledger", () => readFileSync(home.files().ranks, "utf8").includes(`"pid": ${ranks[1]!.pid}`) || undefined);
    });
  });
}
