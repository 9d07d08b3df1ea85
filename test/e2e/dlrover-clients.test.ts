/** DLRover's clients: every call of MasterClient, and shards of a million records while workers and the master are killed. */

import { spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { type DlroverJob, fixtures, overBoth, ranksOf } from "./dlrover-agent.js";
import { killIfAlive, waitFor } from "./drover-process.js";
import { dlroverPython } from "./dlrover-python.js";

const kills = 10;

function call(job: DlroverJob, script: string): Promise<string> {
  const env = { ...process.env, OUT: job.out, DLROVER_MASTER_ADDR: job.address, DLROVER_MASTER_SERVICE_TYPE: job.wire, NODE_ID: "0", NODE_TYPE: "worker", NO_PROXY: "*" };
  const child = spawn(dlroverPython, ["-W", "ignore", join(fixtures, script)], { env, stdio: ["ignore", "pipe", "pipe"] });
  let [out, err] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (out += data.toString()));
  child.stderr.on("data", (data: Buffer) => (err += data.toString()));
  return new Promise((resolve, reject) => {
    child.on("close", (code) => (code === 0 ? resolve(out) : reject(new Error(`${script} ended with ${String(code)}: ${err.slice(-3_000)}`))));
  });
}

describe("clients of DLRover's", function () {
  this.timeout(600_000);

  it("get a full answer to every call of MasterClient, while the master is killed", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      const calling = call(job, "every_call.py");
      await waitFor("the first calls", () => (readdirSync(job.out).includes("begun") ? true : undefined));
      await job.killMaster(kills);
      const answers = JSON.parse((await calling).trim().split("\n").at(-1) ?? "") as Record<string, unknown>;
      expect(Object.entries(answers).filter(([name, answer]) => String(answer).includes("Error") && !["join_sync", "barrier"].includes(name))).to.deep.equal([]);
      expect(answers).to.deep.include({
        get_elastic_run_config: {},
        get_pre_check_result: "PASS",
        join_rendezvous: 0,
        num_nodes_waiting: 0,
        get_comm_world: [1, 0, { 0: 2 }],
        kv_store_get: "x",
        kv_store_multi_get: { b: "1", c: "2" },
        report_shard_checkpoint: true,
        query_training_status: 1,
        get_cluster_version: 0,
        need_to_restart_training: false,
        sync_checkpoint: true,
      });
      // A call whose answer was lost with a master is made again by the client, and no field tells the two apart.
      expect(answers["kv_store_add"]).to.be.oneOf([2, 4]);
      expect((await job.ended).code).to.equal(0);
    });
  });

  it("take and report every shard of a million records once, while workers and the master are killed", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "2"]);
      const args = ["--nnodes=2", "--nproc-per-node=1", "--max-restarts=10"];
      const agents = [0, 1].map((id) => job.start({ id, args, script: join(fixtures, "shards.py") }));
      const lines = (): string[] => readdirSync(job.out).filter((name) => name.startsWith("shards-")).flatMap((name) => readFileSync(join(job.out, name), "utf8").split("\n"));
      for (const count of [50, 300]) {
        await waitFor("shards to be done", () => (lines().filter((line) => line.startsWith("done")).length > count ? true : undefined));
        const [pid] = ranksOf(job.home.path, "shards.py");
        if (pid !== undefined) killIfAlive(pid);
        await job.killMaster(kills / 2);
      }
      for (const agent of agents) expect((await agent.finished).code).to.equal(0);
      expect((await job.ended).code).to.equal(0);
      const done = lines().filter((line) => line.startsWith("done"));
      expect(new Set(done).size, "reported done twice").to.equal(done.length);
      const begun = new Set(lines().filter((line) => line.startsWith("begun")));
      expect(begun.size, "ranges that were worked on").to.equal(1_000);
      const finished = job.events("shard-finished").map(({ taskId }) => taskId);
      expect([finished.length, new Set(finished).size]).to.deep.equal([1_000, 1_000]);
    });
  });

  it("take a checkpoint of their shards out and in, and every index of a shuffled text once an epoch, while the master is killed", async () => {
    await overBoth(async (job) => {
      await job.begin(["--node-num", "1"]);
      const calling = call(job, "checkpoint.py");
      await waitFor("a shard", () => (readdirSync(job.out).includes("begun") ? true : undefined));
      await job.killMaster(kills);
      const { before, restored, after, indices, sampled } = JSON.parse((await calling).trim().split("\n").at(-1) ?? "") as Record<string, unknown> & { before: number[]; after: number[]; indices: number[] };
      expect(restored).to.equal(true);
      expect(before).to.have.length(50);
      expect(after, "what was not done when the checkpoint was taken").to.deep.equal(Array.from({ length: 80 }, (_, shard) => 10 * (shard + 20)));
      for (const epoch of [indices.slice(0, 60), indices.slice(60)]) expect([...epoch].sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 60 }, (_, index) => index));
      expect(indices.slice(0, 60)).to.not.deep.equal(indices.slice(60));
      expect(sampled).to.deep.equal([10, 12, 14, 16, 18]);
    });
  });
});
