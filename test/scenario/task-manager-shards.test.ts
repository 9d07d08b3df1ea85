import { expect } from "chai";
import { taskManager as ref } from "../../actors/protocol/refs.js";
import type { ShardTask } from "../../actors/protocol/task-manager.js";
import { taskManager } from "../../actors/task-manager.js";
import type { DatasetSpec } from "../../src/job/dataset.js";
import { createInlineSystem, type InlineSystem } from "../../src/runtime/test-kit.js";

const rows: DatasetSpec = {
  name: "rows",
  kind: "table",
  size: 30,
  shardSize: 10,
  epochs: 1,
  isShuffled: false,
  seed: 0,
  timeoutMs: 60_000,
};

describe("task manager, its shards", () => {
  let system: InlineSystem;

  beforeEach(async () => {
    system = createInlineSystem();
    await system.start({ id: "task-manager", definition: taskManager, options: {} });
  });

  afterEach(() => system.close());

  const register = (dataset: DatasetSpec) => system.ask(ref, { type: "register-dataset", dataset });
  const ask = (worker: string, waitMs = 0, request = "") => {
    const node = worker.split("/")[0] ?? "";
    return system.ask(
      ref,
      { type: "lease-shard", dataset: "rows", worker, node, request, waitMs },
      { deadlineMs: 90_000 },
    );
  };
  const lease = async (worker: string, request = ""): Promise<ShardTask> => {
    const reply = await ask(worker, 0, request);
    if (!reply.ok || reply.status !== "shard") throw new Error(JSON.stringify(reply));
    return reply.task;
  };
  const finish = (worker: string, { taskId }: ShardTask, isOk = true) =>
    system.ask(ref, { type: "finish-shard", dataset: "rows", taskId, worker, isOk, message: isOk ? "" : "bad row" });
  const restart = async () => {
    await system.restart("task-manager");
    await system.advance(100); // Its supervisor waits a little before the second restart.
  };
  const view = async () => (await system.ask(ref, { type: "list-datasets" })).datasets[0];

  it("registers a dataset once, and refuses another one of that name", async () => {
    expect(await register(rows)).to.deep.equal({ ok: true, isNew: true });
    expect(await register(rows)).to.deep.equal({ ok: true, isNew: false });
    expect(await register({ ...rows, seed: 9 })).to.include({ ok: false, code: "DATASET_DIFFERS" });
    expect(await register({ ...rows, name: "other", shardSize: 0 })).to.include({ ok: false, code: "BAD_DATASET" });
    expect(await ask("n0/0")).to.include({ ok: true, status: "shard" });
    expect(await system.ask(ref, { type: "checkpoint-dataset", dataset: "none" })).to.include({
      ok: false,
      code: "UNKNOWN_DATASET",
    });
  });

  it("gives out every shard, and says done when all are done", async () => {
    await register(rows);
    const tasks = [await lease("n0/0"), await lease("n0/0"), await lease("n1/1")];
    expect(tasks.map(({ shard }) => shard.start)).to.deep.equal([0, 10, 20]);
    expect(await ask("n1/1")).to.deep.equal({ ok: true, status: "wait" });
    for (const [index, task] of tasks.entries()) await finish(index < 2 ? "n0/0" : "n1/1", task);
    expect(await ask("n1/1")).to.deep.equal({ ok: true, status: "done" });
    expect(await view()).to.include({ todo: 0, doing: 0, done: 3, recordsDone: 30, failures: 0, epoch: 0 });
    expect(system.journal.events("task-manager").at(-1)?.type).to.equal("dataset-completed");
  });

  it("refuses a result from anyone but the holder (T1)", async () => {
    await register(rows);
    const task = await lease("n0/0");
    expect(await finish("n1/1", task)).to.include({ ok: false, code: "NOT_THE_HOLDER" });
    expect(await finish("n0/0", { ...task, taskId: 99 })).to.include({ ok: false, code: "UNKNOWN_TASK" });
    expect(await finish("n0/0", task)).to.deep.equal({ ok: true });
    expect(await finish("n1/1", task)).to.include({ ok: false, code: "NOT_THE_HOLDER" });
  });

  it("answers a repeated lease or finish as the first time, also after a restart (T2)", async () => {
    await register(rows);
    const first = await lease("n0/0", "r1");
    expect(await lease("n0/0", "r1")).to.deep.equal(first);
    await restart();
    expect(await lease("n0/0", "r1")).to.deep.equal(first);
    await finish("n0/0", first);
    await restart();
    expect(await finish("n0/0", first)).to.deep.equal({ ok: true });
    expect((await view())?.done).to.equal(1);
    const second = await lease("n0/0", "r2");
    await finish("n0/0", second, false);
    expect(await finish("n0/0", second, false)).to.deep.equal({ ok: true });
    expect(await finish("n0/0", second, true)).to.include({ ok: false, code: "NOT_THE_HOLDER" });
    expect((await view())?.failures).to.equal(1);
  });

  it("gives a shard again to a worker without request ids whose answer may have been lost with the master, when nothing else is left (D6)", async () => {
    await register(rows);
    const old = await lease("n0");
    await system.advance(5_000);
    const lost = await lease("n0");
    await restart();
    expect((await lease("n0")).shard.start).to.equal(20);
    const again = await lease("n0");
    expect([again.taskId, again.shard.start]).to.deep.equal([lost.taskId, 10]); // Not the old one: its answer arrived long before.
    expect(await ask("n0")).to.deep.equal({ ok: true, status: "wait" });
    expect(await finish("n0", lost)).to.deep.equal({ ok: true });
    expect(await finish("n0", lost)).to.deep.equal({ ok: true });
    expect(await view()).to.include({ recordsDone: 10 });
    await restart();
    await finish("n0", old);
    expect(await view()).to.include({ recordsDone: 20 });
  });

  it("does not give a doubtful shard to another worker, nor again once it was reported", async () => {
    await register(rows);
    const tasks = [await lease("n0"), await lease("n0"), await lease("n0")];
    await restart();
    expect(await ask("n1")).to.deep.equal({ ok: true, status: "wait" });
    for (const task of tasks) await finish("n0", task);
    expect(await ask("n0")).to.deep.equal({ ok: true, status: "done" });
  });

  it("wakes a waiting worker at once when a shard comes back (T3)", async () => {
    await register({ ...rows, size: 10 });
    const held = await lease("n0/0");
    const waiting = ask("n1/1", 30_000);
    await system.settle();
    await finish("n0/0", held, false);
    const woken = await waiting;
    expect(woken).to.include({ ok: true, status: "shard" });
  });

  it("wakes every waiting worker when the dataset is done (T3)", async () => {
    await register({ ...rows, size: 10 });
    const held = await lease("n0/0");
    const waiting = [ask("n1/1", 30_000), ask("n2/2", 30_000), ask("n0/0", 0)];
    await system.settle();
    await finish("n0/0", held);
    const statuses = (await Promise.all(waiting)).map((reply) => (reply.ok ? reply.status : reply.code));
    expect(statuses).to.deep.equal(["done", "done", "wait"]);
  });

  it("lets nobody wait longer than asked, or for what it holds itself (T3)", async () => {
    await register({ ...rows, size: 20 });
    const [mine, others] = [await lease("n0/0"), await lease("n1/1")];
    const atMs = system.clock.now();
    const early = ask("n1/1", 500);
    await system.advance(499);
    await system.advance(1);
    expect(await early).to.deep.equal({ ok: true, status: "wait" });
    expect(system.clock.now() - atMs).to.equal(500);
    const waiting = ask("n0/0", 30_000);
    await system.settle();
    await finish("n1/1", others);
    expect(await waiting).to.deep.equal({ ok: true, status: "wait" });
    expect(await ask("n0/0", 30_000)).to.deep.equal({ ok: true, status: "wait" });
    await finish("n0/0", mine);
  });

  it("gives a waiter's place to the same request asked again (T2)", async () => {
    await register({ ...rows, size: 10 });
    const held = await lease("n0/0");
    const lost = ask("n1/1", 30_000, "r1");
    const again = ask("n1/1", 30_000, "r1");
    await system.settle();
    expect(await lost).to.deep.equal({ ok: true, status: "wait" });
    await finish("n0/0", held, false);
    expect(await again).to.include({ status: "shard" });
  });

  it("takes back what a lost node or worker held, and lets its waiters go (T4)", async () => {
    await register(rows);
    const tasks = [await lease("n0/0/1"), await lease("n0/1/1"), await lease("n1/10/1")];
    system.tell(ref, { type: "return-shards", node: "n0", worker: "n0/1", because: "rank 1 was killed" });
    await system.settle();
    expect(await view()).to.include({ doing: 2, todo: 1 });
    const waiting = [ask("n0/0/1", 0), ask("n1/10/1", 0)];
    expect((await Promise.all(waiting)).map((reply) => reply.ok && reply.status)).to.deep.equal(["shard", "wait"]);
    const waiter = ask("n0/0/1", 30_000);
    await system.settle();
    system.tell(ref, { type: "return-shards", node: "n0", worker: null, because: "lost heartbeat" });
    await system.settle();
    expect(await waiter).to.deep.equal({ ok: true, status: "wait" });
    expect(await view()).to.include({ doing: 1, todo: 2, done: 0 });
    expect(await finish("n0/0/1", tasks[0]!)).to.include({ code: "NOT_THE_HOLDER" });
    expect(await finish("n1/10/1", tasks[2]!)).to.deep.equal({ ok: true });
  });

  it("takes back a shard that is not done in time, and gives it to who waits", async () => {
    await register({ ...rows, size: 10 });
    const late = await lease("n0/0");
    await system.advance(30_000);
    const waiting = ask("n1/1", 60_000);
    await system.advance(29_999);
    expect((await view())?.doing).to.equal(1);
    await system.advance(1);
    const reply = await waiting;
    expect(reply.ok && reply.status === "shard" && reply.task.shard).to.deep.equal(late.shard);
    expect(await finish("n0/0", late)).to.include({ code: "NOT_THE_HOLDER" });
  });

  it("gives workers time to report after a restart before it times their shards out", async () => {
    await register({ ...rows, size: 10 });
    const task = await lease("n0/0");
    await system.advance(45_000);
    await restart();
    await system.advance(29_899);
    expect(await finish("n0/0", task)).to.deep.equal({ ok: true });
    expect(await ask("n0/0")).to.deep.equal({ ok: true, status: "done" });
  });

  it("tells of a shard that keeps failing, and drops it never", async () => {
    await register({ ...rows, size: 10 });
    for (let times = 0; times < 7; times++) await finish("n0/0", await lease("n0/0"), false);
    const failing = system.journal.events("task-manager").filter(({ type }) => type === "shard-kept-failing");
    expect(failing).to.deep.equal(
      [3, 6].map((failures) => ({
        type: "shard-kept-failing",
        dataset: "rows",
        epoch: 0,
        index: 0,
        failures,
        because: "bad row",
      })),
    );
    expect(await view()).to.include({ failures: 7, todo: 1 });
  });

  it("grows a stream, and wakes who waits for more of it", async () => {
    await register({ ...rows, kind: "stream", size: 0 });
    const extend = (size: number, isEnd = false) =>
      system.ask(ref, { type: "extend-stream", dataset: "rows", size, isEnd });
    const waiting = ask("n0/0", 30_000);
    await system.settle();
    expect(await extend(15)).to.deep.equal({ ok: true });
    const reply = await waiting;
    expect(reply.ok && reply.status === "shard" && reply.task.shard.end).to.equal(10);
    expect(await extend(12)).to.deep.equal({ ok: true });
    expect(await extend(12, true)).to.include({ ok: false, code: "DATASET_DIFFERS" });
    const last = ask("n1/1", 30_000);
    await system.settle();
    expect(await extend(15, true)).to.deep.equal({ ok: true });
    expect(await last).to.include({ status: "shard" });
    expect(await extend(15, true)).to.deep.equal({ ok: true });
    expect(await extend(16)).to.include({ ok: false, code: "DATASET_DIFFERS" });
    await register({ ...rows, name: "table" });
    expect(await system.ask(ref, { type: "extend-stream", dataset: "table", size: 40, isEnd: false })).to.include({
      code: "DATASET_DIFFERS",
    });
  });

  it("restores a checkpoint: what was done then stays done, leases of before are void", async () => {
    await register(rows);
    const [first, second] = [await lease("n0/0"), await lease("n0/0")];
    await finish("n0/0", first);
    const taken = await system.ask(ref, { type: "checkpoint-dataset", dataset: "rows" });
    if (!taken.ok) throw new Error(taken.message);
    await finish("n0/0", second);
    await finish("n0/0", await lease("n0/0"));
    expect(await ask("n0/0")).to.include({ status: "done" });
    const held = second;
    expect(await system.ask(ref, { type: "restore-dataset", dataset: "rows", content: taken.content })).to.deep.equal({
      ok: true,
    });
    await restart();
    expect(await view()).to.include({ todo: 2, doing: 0, done: 1, recordsDone: 10 });
    const again = await lease("n1/1");
    expect(again.shard).to.deep.equal(held.shard);
    expect(again.taskId).to.be.above(held.taskId);
    expect(await system.ask(ref, { type: "restore-dataset", dataset: "rows", content: "{}" })).to.include({
      code: "BAD_CHECKPOINT",
    });
  });
});
