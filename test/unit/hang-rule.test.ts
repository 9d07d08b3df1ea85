import { expect } from "chai";
import { stacksOf } from "../../src/job/diagnosis-stacks.js";
import { newWorld, type ObservedWorld, observeRank } from "../../src/job/diagnosis-world.js";
import { culpritOf, describeSteps, hangDueAtMs } from "../../src/job/hang.js";
import { progressOf } from "../fixtures/rank-progress.js";

function world(ranks = 3): ObservedWorld {
  return newWorld(
    1,
    Array.from({ length: ranks }, (_, at) => ({ node: `n${at}`, ranks: 1 })),
    0,
  );
}

describe("hang", () => {
  it("cannot be before the first step, or when it is turned off", () => {
    const watched = world();
    expect(hangDueAtMs(watched, 1_000)).to.equal(null);
    observeRank(watched, progressOf(0, null), 100);
    expect(hangDueAtMs(watched, 1_000)).to.equal(null);
    observeRank(watched, progressOf(0, 1), 100);
    expect(hangDueAtMs(watched, 1_000)).to.equal(1_100);
    expect(hangDueAtMs(watched, 0)).to.equal(null);
  });

  it("counts from the newest step of any rank", () => {
    const watched = world();
    observeRank(watched, progressOf(0, 5), 100);
    observeRank(watched, progressOf(1, 4), 200);
    observeRank(watched, progressOf(1, 4), 300);
    expect(hangDueAtMs(watched, 1_000)).to.equal(1_200);
  });

  it("takes nothing from another round or an unknown rank", () => {
    const watched = world();
    observeRank(watched, progressOf(0, 5, { round: 2 }), 100);
    observeRank(watched, progressOf(7, 5), 100);
    expect(hangDueAtMs(watched, 1_000)).to.equal(null);
  });

  it("waits ten steps of a job whose steps take long", () => {
    const watched = world();
    for (let step = 0; step < 5; step++) observeRank(watched, progressOf(0, step), step * 600);
    expect(hangDueAtMs(watched, 1_000)).to.equal(2_400 + 6_000);
    expect(hangDueAtMs(watched, 10_000)).to.equal(2_400 + 10_000);
  });

  it("blames the only rank that is behind", () => {
    const watched = world();
    for (const [rank, step] of [7, 6, 7].entries()) observeRank(watched, progressOf(rank, step), 0);
    expect(culpritOf(watched, [])).to.deep.include({ rank: 1 });
  });

  it("blames the only rank whose stack differs when all are at the same step", () => {
    const watched = world();
    for (const rank of [0, 1, 2]) observeRank(watched, progressOf(rank, 7), 0);
    const waiting = (rank: number) =>
      `rank ${rank} pid ${40 + rank}\n    all_reduce (torch/distributed.py:${90 + rank})\n`;
    const stuck = "== rank 2 pid 42 ==\n    sleep (train.py:12)\n";
    expect(culpritOf(watched, stacksOf(waiting(0) + waiting(1) + stuck))).to.deep.include({ rank: 2 });
    expect(culpritOf(watched, stacksOf(waiting(0) + waiting(1) + waiting(2)))).to.equal(null);
    expect(culpritOf(watched, stacksOf(waiting(0) + stuck))).to.equal(null);
    expect(culpritOf(watched, [])).to.equal(null);
  });

  it("blames the only rank that does not wait in a collective when all are at the same step, also of two", () => {
    const watched = world(2);
    for (const rank of [0, 1]) observeRank(watched, progressOf(rank, 7), 0);
    const waits = [
      "all_reduce (mine.py:4)",
      "all_gather_into_tensor (torch/distributed/distributed_c10d.py:9)",
      "_engine_run_backward (torch/autograd/graph.py:824)",
      "_sync_buffers (torch/nn/parallel/distributed.py:2101)",
    ];
    for (const wait of waits) {
      const text = `rank 0, process 4\nThread 4 (idle)\n    ${wait}\n    main (t.py:3)\n\nrank 1, process 5\n    read (t.py:7)\n`;
      expect(culpritOf(watched, stacksOf(text)), wait).to.deep.equal({ rank: 1, why: `they are in ${wait}, it is not` });
    }
    const both = "rank 0\n    barrier (a.py:1)\nrank 1\n    barrier (a.py:1)\n";
    const neither = "rank 0\n    read (a.py:1)\nrank 1\n    reduce (a.py:1)\n";
    for (const text of [both, neither]) expect(culpritOf(watched, stacksOf(text))).to.equal(null);
  });

  it("says how far each rank is, those behind first, within a bound", () => {
    const watched = world();
    observeRank(watched, progressOf(0, 7), 0);
    observeRank(watched, progressOf(1, 6), 500);
    expect(describeSteps(watched, 2_000, 2)).to.equal(
      "rank 2 on n2: never reported a step\nrank 1 on n1: at step 6 since 1.5 s\nand 1 ranks more",
    );
  });
});
