import { expect } from "chai";
import fc from "fast-check";
import { closeGoodput, type Goodput, goodputOf, noteStep, openGoodput, segmentsMax } from "../../src/job/goodput.js";

/** An incarnation whose ranks begin `idleMs` after the last one ended and do `steps` steps of `stepMs` each, from `first`. */
type Life = Readonly<{ idleMs: number; back: number; steps: number; stepMs: number }>;

const play = (lives: readonly Life[]): { goodput: Goodput; endMs: number; useful: Map<number, number> } => {
  const goodput = openGoodput(0);
  const useful = new Map<number, number>();
  let nowMs = 0;
  let next = 0;
  lives.forEach(({ idleMs, back, steps, stepMs }, index) => {
    nowMs += idleMs;
    const readyAtMs = nowMs;
    const first = Math.max(0, next - back);
    for (const step of useful.keys()) if (step >= first) useful.delete(step);
    for (let step = first; step < first + steps; step++) {
      nowMs += stepMs;
      useful.set(step, stepMs);
      noteStep(goodput, index + 1, readyAtMs, step, nowMs);
    }
    next = first + steps;
  });
  return { goodput, endMs: nowMs, useful };
};

const livesArbitrary = (maxLength: number): fc.Arbitrary<Life[]> =>
  fc.array(
    fc.record({
      idleMs: fc.integer({ min: 0, max: 5_000 }),
      back: fc.integer({ min: 0, max: 30 }),
      steps: fc.integer({ min: 2, max: 20 }),
      stepMs: fc.integer({ min: 1, max: 500 }),
    }),
    { minLength: 1, maxLength },
  );

describe("goodput", () => {
  it("is unknown before the first step", () => {
    expect(goodputOf(openGoodput(0), 1_000)).to.equal(null);
  });

  it("is the time of steps that were not undone, by the time since the start", () => {
    const { goodput, endMs } = play([
      { idleMs: 1_000, back: 0, steps: 10, stepMs: 100 },
      { idleMs: 500, back: 5, steps: 10, stepMs: 100 },
    ]);
    expect(endMs).to.equal(3_500);
    expect(goodputOf(goodput, endMs)).to.be.closeTo(1_500 / 3_500, 1e-9);
  });

  it("agrees with a record of every step, while segments need not be merged", () => {
    fc.assert(
      fc.property(livesArbitrary(12), (lives) => {
        const { goodput, endMs, useful } = play(lives);
        const usefulMs = [...useful.values()].reduce((sum, ms) => sum + ms, 0);
        // Each life has steps of one length, so that cutting in proportion is exact.
        expect(goodputOf(goodput, endMs)).to.be.closeTo(endMs === 0 ? 0 : usefulMs / endMs, 1e-6);
      }),
    );
  });

  it("stays within 0 and 1, and its memory bounded, through a thousand lives (G1, G2)", () => {
    fc.assert(
      fc.property(livesArbitrary(1_000), (lives) => {
        const { goodput, endMs } = play(lives);
        expect(goodputOf(goodput, endMs)).to.be.within(0, 1);
        expect(goodput.segments.length).to.be.at.most(segmentsMax);
        goodput.segments.forEach(({ first, last }, index) => {
          expect(last).to.be.at.least(first);
          expect(first).to.be.above(goodput.segments[index - 1]?.last ?? -1);
        });
      }),
      { numRuns: 30 },
    );
  });

  it("does not change once the job has ended", () => {
    const { goodput, endMs } = play([{ idleMs: 100, back: 0, steps: 9, stepMs: 100 }]);
    closeGoodput(goodput, endMs);
    expect(goodputOf(goodput, endMs + 1e6)).to.equal(0.9);
  });

  it("falls while nothing happens", () => {
    const { goodput, endMs } = play([{ idleMs: 100, back: 0, steps: 9, stepMs: 100 }]);
    expect(goodputOf(goodput, endMs * 2)).to.equal(0.45);
  });
});
