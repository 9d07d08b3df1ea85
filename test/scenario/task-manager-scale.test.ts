import { expect } from "chai";
import { pack } from "msgpackr";
import { taskManager as ref } from "../../actors/protocol/refs.js";
import { taskManager } from "../../actors/task-manager.js";
import type { DatasetSpec } from "../../src/job/dataset.js";
import { createInlineSystem } from "../../src/runtime/test-kit.js";

const records = 10_000_000;
const shardSize = 100;

const dataset: DatasetSpec = {
  name: "large",
  kind: "table",
  size: records,
  shardSize,
  epochs: 1,
  isShuffled: true,
  seed: 3,
  timeoutMs: 1_800_000,
};

describe("task manager, ten million records", () => {
  it("does them all at a cost that does not grow, with a snapshot that stays small", async function () {
    this.timeout(60_000);
    const system = createInlineSystem();
    await system.start({ id: "task-manager", definition: taskManager, options: {} });
    const seen = new Uint8Array(records / shardSize);

    /** A thousand shards, fifty workers at a time. */
    const thousand = async (): Promise<number> => {
      const startedAt = process.cpuUsage().user;
      for (let round = 0; round < 20; round++) {
        const workers = Array.from({ length: 50 }, (_, nth) => ({
          worker: `n${nth % 8}/${nth}/1`,
          node: `n${nth % 8}`,
        }));
        const leases = workers.map(async (who) => {
          const asked = { type: "lease-shard", dataset: "large", ...who, request: "", waitMs: 0 } as const;
          const reply = await system.ask(ref, asked);
          if (!reply.ok || reply.status !== "shard") throw new Error(JSON.stringify(reply));
          const { taskId, shard } = reply.task;
          seen[shard.start / shardSize]! += 1;
          return {
            type: "finish-shard",
            dataset: "large",
            taskId,
            worker: who.worker,
            isOk: true,
            message: "",
          } as const;
        });
        const finishes = (await Promise.all(leases)).map((finish) => system.ask(ref, finish));
        await Promise.all(finishes);
      }
      return process.cpuUsage().user - startedAt;
    };

    await system.ask(ref, { type: "register-dataset", dataset });
    const costs: number[] = [];
    for (let thousands = 0; thousands < records / shardSize / 1_000; thousands++) costs.push(await thousand());

    expect(seen.every((times) => times === 1)).to.equal(true);
    const { datasets } = await system.ask(ref, { type: "list-datasets" });
    expect(datasets[0]).to.include({ todo: 0, doing: 0, done: 100_000, recordsDone: records });
    const middleOf = (some: readonly number[]): number => [...some].sort((a, b) => a - b)[some.length >> 1] ?? 0;
    expect(middleOf(costs.slice(-20))).to.be.below(3 * middleOf(costs.slice(5, 25)));
    const { snapshot } = await system.journal.load("task-manager");
    expect(pack(snapshot).length).to.be.below(400_000);
    await system.close();
  });
});
