import { expect } from "chai";
import type { DatasetSpec } from "../../src/job/dataset.js";
import { readCheckpoint, writeCheckpoint } from "../../src/job/dataset-checkpoint.js";
import {
  applyExtension,
  applyFinish,
  applyLease,
  type DatasetProgress,
  isDone,
  newProgress,
  nextShard,
  shardRange,
} from "../../src/job/dataset-progress.js";

const spec: DatasetSpec = {
  name: "rows",
  kind: "table",
  size: 1_000,
  shardSize: 10,
  epochs: 2,
  isShuffled: true,
  seed: 5,
  timeoutMs: 0,
};

/** Leases `count` shards and finishes those for which `isFinished` holds. */
function run(progress: DatasetProgress, count: number, isFinished: (nth: number) => boolean): void {
  for (let nth = 0; nth < count; nth++) {
    const shard = nextShard(progress);
    if (shard === null) throw new Error("nothing left");
    const lease = { ...shard, taskId: nth, worker: "w", node: "n", request: "", atMs: 0 };
    applyLease(progress, lease);
    if (isFinished(nth)) applyFinish(progress, lease);
  }
}

function restored(progress: DatasetProgress, content: string): DatasetProgress {
  const read = readCheckpoint(progress, content);
  if (typeof read === "string") throw new Error(read);
  return read;
}

describe("dataset checkpoint", () => {
  it("brings back exactly what was not done", () => {
    const progress = newProgress(spec);
    run(progress, 50, (nth) => nth % 7 !== 0);
    const again = restored(newProgress(spec), writeCheckpoint(progress));
    const unfinished = [...progress.leases.values()].map(({ epoch, index }) => ({ epoch, index, failures: 0 }));
    expect(again.returned.toArray()).to.deep.equal(unfinished);
    expect(again.recordsDone).to.equal(progress.recordsDone);
    for (let left = 200 - 50 + unfinished.length; left > 0; left--) run(again, 1, () => true);
    expect(isDone(again)).to.equal(true);
    expect(again.recordsDone).to.equal(2_000);
  });

  it("is small however many records there are", () => {
    const progress = newProgress({ ...spec, size: 10_000_000, shardSize: 100 });
    run(progress, 1_000, (nth) => nth < 995);
    expect(writeCheckpoint(progress).length).to.be.below(300);
  });

  it("lets a finished training go on for more epochs", () => {
    const progress = newProgress(spec);
    run(progress, 200, () => true);
    const longer = restored(newProgress({ ...spec, epochs: 3 }), writeCheckpoint(progress));
    expect(nextShard(longer)).to.deep.equal({ epoch: 2, index: 0, failures: 0 });
  });

  it("keeps the records that a stream has by now", () => {
    const stream: DatasetSpec = { ...spec, kind: "stream", epochs: 1, size: 25 };
    const progress = newProgress(stream);
    run(progress, 2, () => true);
    const now = newProgress({ ...stream, size: 0 });
    applyExtension(now, 40, false);
    const again = restored(now, writeCheckpoint(progress));
    expect(again.size).to.equal(40);
    expect(shardRange(again, nextShard(again)!)).to.include({ start: 20, end: 30 });
    expect(restored(newProgress({ ...stream, size: 0 }), writeCheckpoint(progress)).size).to.equal(25);
  });

  it("refuses a stream that ended before what there is of it", () => {
    const stream: DatasetSpec = { ...spec, kind: "stream", epochs: 1, size: 25 };
    const ended = newProgress(stream);
    applyExtension(ended, 25, true);
    run(ended, 3, () => true);
    expect(readCheckpoint(newProgress({ ...stream, size: 50 }), writeCheckpoint(ended))).to.contain("size was 25");
    expect(readCheckpoint(ended, writeCheckpoint(newProgress({ ...stream, size: 50 })))).to.contain("size was 50");
  });

  it("refuses what is not a checkpoint of this dataset, and says why", () => {
    const progress = newProgress(spec);
    run(progress, 3, (nth) => nth === 0);
    const content = JSON.parse(writeCheckpoint(progress)) as Record<string, unknown>;
    const refusals: [Record<string, unknown> | string, string][] = [
      ["{", "not JSON"],
      ["7", "not a JSON object"],
      [{ version: 2 }, "version is 2"],
      [{ size: -1 }, "missing, negative"],
      [{ isEnded: 1 }, "missing, negative"],
      [{ pending: {} }, "list of lists"],
      [{ seed: 6 }, "seed was 6 and is 5"],
      [{ size: 2_000 }, "size was 2000"],
      [{ next: 100 }, "100 shards"],
      [{ epoch: 3 }, "2 epochs"],
      [{ epoch: 2, next: 1 }, "2 epochs"],
      [{ pending: [[0, 3, 0]] }, "cannot be pending"],
      [
        {
          pending: [
            [0, 1, 0],
            [0, 1, 0],
          ],
        },
        "cannot be pending",
      ],
      [{ pending: [["0", 1, 0]] }, "cannot be pending"],
      [{ pending: [[0, 1.5, 0]] }, "cannot be pending"],
    ];
    for (const [change, why] of refusals) {
      const text = typeof change === "string" ? change : JSON.stringify({ ...content, ...change });
      expect(readCheckpoint(newProgress(spec), text), why)
        .to.be.a("string")
        .that.contains(why);
    }
  });
});
