import { expect } from "chai";
import { newWorld, type ObservedWorld, observeRank } from "../../src/job/diagnosis-world.js";
import { closeWindow, type Straggler } from "../../src/job/straggler.js";
import { progressOf } from "../fixtures/rank-progress.js";

type Pace = Readonly<{ steps: number; cpu: number }>;

/** Windows of 60 s in which each rank makes so many steps at so much CPU; what the last one found. */
function after(windows: number, paces: readonly Pace[], factor = 2, windowMs = 60_000): Straggler[] {
  const world: ObservedWorld = newWorld(
    1,
    [{ node: "n", ranks: paces.length }],
    0,
  );
  for (const [rank, { cpu }] of paces.entries()) observeRank(world, progressOf(rank, 0, { cpuCores: cpu }), 0);
  let found: Straggler[] = [];
  for (let window = 1; window <= windows; window++) {
    for (const [rank, { steps, cpu }] of paces.entries()) {
      observeRank(world, progressOf(rank, window * steps, { cpuCores: cpu }), window * windowMs);
    }
    found = closeWindow(world, factor, window * windowMs);
  }
  return found;
}

const even = (steps: number, cpu = 1): Pace => ({ steps, cpu });

describe("straggler", () => {
  it("is a rank that makes far fewer steps than a middling one, three windows in a row", () => {
    const paces = [even(100), even(40), even(100)];
    expect(after(2, paces)).to.deep.equal([]);
    expect(after(3, paces).map(({ rank }) => rank)).to.deep.equal([1]);
    expect(after(3, paces)[0]?.evidence).to.contain("40 steps while a middling rank made 100");
    expect(after(3, [even(100), even(40)]).map(({ rank }) => rank)).to.deep.equal([1]);
  });

  it("is not a rank that is a little slower, or slow by less than the factor", () => {
    expect(after(5, [even(100), even(60), even(100)])).to.deep.equal([]);
    expect(after(5, [even(100), even(40), even(100)], 3)).to.deep.equal([]);
    expect(after(5, [even(100), even(1), even(100)], 0)).to.deep.equal([]);
  });

  it("is not judged by a window that is too short or has too few steps", () => {
    expect(after(9, [even(100), even(1), even(100)], 2, 1_000)).to.deep.equal([]);
    expect(after(2, [even(4), even(0), even(4)])).to.deep.equal([]);
  });

  it("is a rank that computes while its peers, at the same step, wait", () => {
    const paces = [even(100, 0.2), even(100, 0.9), even(100, 0.1)];
    expect(after(3, paces).map(({ rank }) => rank)).to.deep.equal([1]);
    expect(after(3, [even(100, 1), even(100, 1), even(100, 0.9)])).to.deep.equal([]);
    expect(after(3, [even(100, 0.1), even(100, 0.9)])).to.deep.equal([]);
  });

  it("is forgiven by one good window", () => {
    const world = newWorld(
      1,
      [{ node: "n", ranks: 3 }],
      0,
    );
    const steps = [0, 0, 0];
    const run = (window: number, made: readonly number[]): Straggler[] => {
      for (const rank of [0, 1, 2]) {
        steps[rank] = (steps[rank] ?? 0) + (made[rank] ?? 0);
        observeRank(world, progressOf(rank, steps[rank]), window * 60_000);
      }
      return closeWindow(world, 2, window * 60_000);
    };
    run(0, [1, 1, 1]);
    const slow = [100, 10, 100];
    expect([run(1, slow), run(2, slow), run(3, [100, 90, 100]), run(4, slow), run(5, slow)].flat()).to.deep.equal([]);
    expect(run(6, slow)).to.have.length(1);
  });
});
