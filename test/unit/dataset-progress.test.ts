import { expect } from "chai";
import fc from "fast-check";
import type { DatasetSpec } from "../../src/job/dataset.js";
import { readCheckpoint, writeCheckpoint } from "../../src/job/dataset-checkpoint.js";
import {
  applyExtension,
  applyFinish,
  applyLease,
  applyReturn,
  countShards,
  type DatasetProgress,
  isDone,
  leaseOfRequest,
  newProgress,
  nextShard,
  type ShardLease,
  shardRange,
  timedOutLeases,
  waitsForItself,
} from "../../src/job/dataset-progress.js";
import { parseProgress, takeProgress } from "../../src/job/dataset-snapshot.js";
import { isCorrect, NaiveDataset, type Step, stepArbitrary } from "../fixtures/naive-dataset.js";

const table: DatasetSpec = {
  name: "rows",
  kind: "table",
  size: 10,
  shardSize: 4,
  epochs: 2,
  isShuffled: false,
  seed: 0,
  timeoutMs: 1_000,
};

let tasks = 0;
function take(progress: DatasetProgress, worker = "w", atMs = 0, request = ""): ShardLease {
  const shard = nextShard(progress);
  if (shard === null) throw new Error("nothing to take");
  const lease = { ...shard, taskId: ++tasks, worker, node: "n", request, atMs };
  applyLease(progress, lease);
  return lease;
}

describe("dataset progress", () => {
  it("makes ranges in order, the last one short, in each epoch", () => {
    const progress = newProgress(table);
    const ranges = Array.from({ length: 6 }, () => shardRange(progress, take(progress)));
    const epoch = [
      { start: 0, end: 4, indices: null },
      { start: 4, end: 8, indices: null },
      { start: 8, end: 10, indices: null },
    ];
    expect(ranges).to.deep.equal([...epoch, ...epoch]);
    expect(nextShard(progress)).to.equal(null);
  });

  it("names the records of a text, shuffled or in order", () => {
    const inOrder = newProgress({ ...table, kind: "text" });
    expect(shardRange(inOrder, take(inOrder)).indices).to.deep.equal([0, 1, 2, 3]);
    const shuffled = newProgress({ ...table, kind: "text", size: 1_000, shardSize: 100, isShuffled: true });
    const { start, end, indices } = shardRange(shuffled, take(shuffled));
    expect(end - start).to.equal(100);
    expect(indices).to.not.deep.equal(Array.from({ length: 100 }, (_, i) => start + i));
    expect([...(indices ?? [])].sort((a, b) => a - b)[0]).to.equal(start);
  });

  it("gives a returned shard out before a new one, and counts its failures (D4)", () => {
    const progress = newProgress(table);
    const first = take(progress);
    take(progress);
    applyReturn(progress, first, true);
    expect(nextShard(progress)).to.deep.equal({ epoch: 0, index: 0, failures: 1 });
    expect(progress.failures).to.equal(1);
    expect(countShards(progress)).to.deep.equal({ todo: 5, doing: 1, done: 0 });
  });

  it("keeps the tail of a stream until it is full or the stream ends", () => {
    const progress = newProgress({ ...table, kind: "stream", epochs: 1, size: 5 });
    expect(shardRange(progress, take(progress))).to.include({ start: 0, end: 4 });
    expect(nextShard(progress)).to.equal(null);
    applyExtension(progress, 9, false);
    expect(shardRange(progress, take(progress))).to.include({ start: 4, end: 8 });
    expect(isDone(progress)).to.equal(false);
    applyExtension(progress, 9, true);
    expect(shardRange(progress, take(progress))).to.include({ start: 8, end: 9 });
    for (const lease of [...progress.leases.values()]) applyFinish(progress, lease);
    expect(isDone(progress)).to.equal(true);
    expect(progress.recordsDone).to.equal(9);
  });

  it("is done at once when there are no records", () => {
    expect(isDone(newProgress({ ...table, size: 0 }))).to.equal(true);
  });

  it("knows who would wait for itself only", () => {
    const progress = newProgress({ ...table, epochs: 1 });
    const mine = take(progress, "a");
    take(progress, "b");
    expect(waitsForItself(progress, "a")).to.equal(false);
    take(progress, "a");
    expect(waitsForItself(progress, "a")).to.equal(false);
    applyFinish(
      progress,
      [...progress.leases.values()].find(({ worker }) => worker === "b")!,
    );
    expect(waitsForItself(progress, "a")).to.equal(true);
    expect(waitsForItself(progress, "b")).to.equal(false);
    applyFinish(progress, mine);
    expect(waitsForItself(progress, "a")).to.equal(true);
  });

  it("finds a lease by its request while it lives", () => {
    const progress = newProgress(table);
    const lease = take(progress, "a", 0, "r1");
    expect(leaseOfRequest(progress, "a", "r1")).to.equal(lease);
    expect(leaseOfRequest(progress, "b", "r1")).to.equal(null);
    expect(leaseOfRequest(progress, "a", "")).to.equal(null);
    applyFinish(progress, lease);
    expect(leaseOfRequest(progress, "a", "r1")).to.equal(null);
  });

  it("times out the oldest leases first, and none when that is off", () => {
    const progress = newProgress(table);
    const [first, second] = [take(progress, "a", 0), take(progress, "a", 10), take(progress, "a", 20)];
    expect(timedOutLeases(progress, 999, 9)).to.deep.equal([]);
    expect(timedOutLeases(progress, 1_010, 9)).to.deep.equal([first, second]);
    expect(timedOutLeases(progress, 1_010, 1)).to.deep.equal([first]);
    const patient = newProgress({ ...table, timeoutMs: 0 });
    take(patient);
    expect(timedOutLeases(patient, 1e15, 9)).to.deep.equal([]);
  });

  it("does every record exactly once an epoch, whatever happens between (D1, D2, D3)", () => {
    fc.assert(
      fc.property(stepArbitrary, (run) => {
        const naive = new NaiveDataset(run.spec);
        let progress = newProgress(run.spec);
        let checkpoint: Readonly<{ content: string; done: ReadonlySet<string> }> | null = null;
        let nowMs = 0;
        const finish = (lease: ShardLease): void => {
          applyFinish(progress, lease);
          naive.finish(lease.epoch, shardRange(progress, lease));
        };
        const act = (step: Step): void => {
          const leases = [...progress.leases.values()];
          const picked = leases[step.pick % Math.max(1, leases.length)];
          if (step.kind === "lease" && nextShard(progress) !== null) take(progress, `w${step.pick % 3}`, nowMs);
          else if (step.kind === "finish" && picked) finish(picked);
          else if (step.kind === "fail" && picked) applyReturn(progress, picked, true);
          else if (step.kind === "wait") {
            nowMs += step.pick * 100;
            for (const lease of timedOutLeases(progress, nowMs, 100)) applyReturn(progress, lease, false);
          } else if (step.kind === "recover") progress = parseProgress(takeProgress(progress));
          else if (step.kind === "checkpoint") checkpoint = { content: writeCheckpoint(progress), done: naive.copy() };
          else if (step.kind === "restore" && checkpoint !== null) {
            const restored = readCheckpoint(progress, checkpoint.content);
            if (typeof restored === "string") throw new Error(restored);
            progress = restored;
            naive.restore(checkpoint.done);
          }
          isCorrect(naive, progress);
        };
        for (const step of run.steps) act(step);
        for (const lease of [...progress.leases.values()]) finish(lease);
        while (nextShard(progress) !== null) finish(take(progress, "w", nowMs));
        expect(isDone(progress)).to.equal(true);
        naive.expectAllDone();
        expect(progress.recordsDone).to.equal(run.spec.size * run.spec.epochs);
      }),
      { numRuns: 300 },
    );
  });
});
