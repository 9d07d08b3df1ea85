/** Checkpoints of datasets as DLRover's clients carry them: Drover's own with a name, and those of DLRover's own master. */

import { expect } from "chai";
import type { DatasetSpec } from "../../src/job/dataset.js";
import { readCheckpoint, writeCheckpoint } from "../../src/job/dataset-checkpoint.js";
import { applyFinish, applyLease, type DatasetProgress, newProgress, nextShard, shardRange } from "../../src/job/dataset-progress.js";
import { readMessage } from "../../src/wire/dlrover/message-codec.js";
import { PickleWriter } from "../../src/wire/dlrover/pickle-writer.js";
import { PyObject } from "../../src/wire/dlrover/pickle-value.js";
import { datasetOfCheckpoint, namedCheckpoint } from "../../src/wire/dlrover/shard-checkpoint.js";

const spec: DatasetSpec = { name: "rows", kind: "table", size: 95, shardSize: 10, epochs: 3, isShuffled: false, seed: 0, timeoutMs: 0 };

/** Every range that is still to come, in order. */
function left(progress: DatasetProgress): string[] {
  const ranges: string[] = [];
  for (let shard = nextShard(progress); shard !== null; shard = nextShard(progress)) {
    const lease = { ...shard, taskId: ranges.length, worker: "w", node: "n", request: "", atMs: 0 };
    const { start, end } = shardRange(progress, shard);
    ranges.push(`${shard.epoch}:${start}-${end}`);
    applyLease(progress, lease);
    applyFinish(progress, lease);
  }
  return ranges;
}

const restored = (content: object, of = spec): DatasetProgress => {
  const read = readCheckpoint(newProgress(of), JSON.stringify(content));
  if (typeof read === "string") throw new Error(read);
  return read;
};

describe("checkpoints of datasets that DLRover's clients carry", () => {
  it("name their dataset, and are read again", () => {
    const content = namedCheckpoint('a "b"', writeCheckpoint(newProgress(spec)));
    expect(datasetOfCheckpoint(content)).to.deep.equal({ dataset: 'a "b"', content });
    expect(readCheckpoint(newProgress(spec), content)).to.be.an("object");
  });

  it("are read in the message within a message that ShardingClient sends", () => {
    const content = namedCheckpoint("rows", writeCheckpoint(newProgress(spec)));
    const [inner, outer] = [new PyObject("ShardCheckpoint"), new PyObject("ShardCheckpoint")];
    inner.fields = new Map([["content", content]]);
    outer.fields = new Map([["content", inner]]);
    const writer = new PickleWriter().begin();
    writer.value(outer);
    const message = readMessage(writer.end());
    expect(message.cls === "ShardCheckpoint" && datasetOfCheckpoint(message.fields.content)).to.deep.equal({ dataset: "rows", content });
  });

  it("are none where they name no dataset", () => {
    for (const text of ["", "{", "7", "null", "{}", '{"dataset_name":7}', '{"content":7}', '{"content":"x","more":1}']) expect(datasetOfCheckpoint(text), text).to.equal(null);
  });

  it("of DLRover's own master bring back what was not done, the rest of the epoch and the epochs after it", () => {
    const progress = restored({ dataset_name: "rows", todo: [[70, 80], [80, 90], [90, 95]], doing: [[20, 30], [60, 70]], epoch: 2, splitter: null });
    expect(progress.recordsDone).to.equal(95 + 50);
    expect(progress.returned.length).to.equal(1);
    const ranges = left(progress);
    expect(ranges.slice(0, 5)).to.deep.equal(["1:20-30", "1:60-70", "1:70-80", "1:80-90", "1:90-95"]);
    expect([ranges.length, ranges.at(-1), progress.recordsDone]).to.deep.equal([15, "2:90-95", 3 * 95]);
  });

  it("of DLRover's own master stand for nothing, a whole epoch, or everything", () => {
    expect(left(restored({ todo: [], doing: [], epoch: 0 }))).to.have.length(30);
    expect(left(restored({ todo: [], doing: [], epoch: 1 }))).to.have.length(20);
    expect(left(restored({ todo: [], doing: [], epoch: 3 }))).to.have.length(0);
  });

  it("of DLRover's own master count an epoch for each 50,000 shards of a large table", () => {
    const large: DatasetSpec = { ...spec, size: 120_000, shardSize: 1, epochs: 2 };
    const ranges = left(restored({ todo: [[99_999, 100_000]], doing: [[60_000, 60_001]], epoch: 5 }, large));
    expect(ranges.slice(0, 3)).to.deep.equal(["1:60000-60001", "1:99999-100000", "1:100000-100001"]);
    expect(ranges).to.have.length(2 + 20_000);
  });

  it("of DLRover's own master are refused with a reason where they cannot be taken over", () => {
    const refusals: [object, string, DatasetSpec?][] = [
      [{ todo: [], doing: [], epoch: 4 }, "from 0 to 3"],
      [{ todo: [], doing: [] }, "epoch is undefined"],
      [{ todo: [[5, 15]], doing: [], epoch: 1 }, "does not have: [5,15]"],
      [{ todo: [[90, 100]], doing: [], epoch: 1 }, "does not have: [90,100]"],
      [{ todo: [[10, 20]], doing: [[10, 20]], epoch: 1 }, "does not have: [10,20]"],
      [{ todo: ["x"], doing: [], epoch: 1 }, 'does not have: "x"'],
      [{ todo: [[0, 10, [3]]], doing: [], epoch: 1 }, "shuffles otherwise", { ...spec, kind: "text", isShuffled: true }],
    ];
    for (const [content, why, of = spec] of refusals) expect(readCheckpoint(newProgress(of), JSON.stringify(content)), why).to.be.a("string").that.includes(why);
  });
});
