/** The rules of supervision: every restart type with every exit reason, every strategy, and the intensity. */

import { expect } from "chai";
import fc from "fast-check";
import type { ExitReason } from "../../src/runtime/actor.js";
import { type Restart, RestartIntensity, isRestarted, takenAlong } from "../../src/runtime/supervision.js";

const clean: ExitReason[] = [{ kind: "normal" }, { kind: "shutdown" }];
const failures: ExitReason[] = (["error", "thread-exit", "heap-limit", "unresponsive", "restart-intensity"] as const).map((kind) => ({ kind, message: "x" }));

describe("supervision", () => {
  const expected: Record<Restart, { afterClean: boolean; afterFailure: boolean }> = {
    permanent: { afterClean: true, afterFailure: true },
    transient: { afterClean: false, afterFailure: true },
    temporary: { afterClean: false, afterFailure: false },
  };
  for (const restart of ["permanent", "transient", "temporary"] as const) {
    for (const reason of clean) {
      it(`${restart} after ${reason.kind}: ${expected[restart].afterClean ? "starts again" : "stays away"} (S1)`, () => {
        expect(isRestarted(restart, reason)).to.equal(expected[restart].afterClean);
      });
    }
    for (const reason of failures) {
      it(`${restart} after ${reason.kind}: ${expected[restart].afterFailure ? "starts again" : "stays away"} (S1)`, () => {
        expect(isRestarted(restart, reason)).to.equal(expected[restart].afterFailure);
      });
    }
  }

  it("takes along only the child itself in one-for-one, those after it in rest-for-one, all in one-for-all (S2)", () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ minLength: 1 }), { minLength: 1, maxLength: 8 }), fc.nat(), (children, pick) => {
        const index = pick % children.length;
        const failed = children[index]!;
        expect(takenAlong("one-for-one", children, failed)).to.deep.equal([failed]);
        expect(takenAlong("rest-for-one", children, failed)).to.deep.equal(children.slice(index));
        expect(takenAlong("one-for-all", children, failed)).to.deep.equal(children);
      }),
    );
  });

  it("allows as many restarts within the period as the intensity says, and escalates at the next (S3)", () => {
    const intensity = new RestartIntensity({ intensity: 3, periodMs: 1_000 });
    expect([0, 100, 200].map((atMs) => intensity.charge(atMs, 0.5) !== null)).to.deep.equal([true, true, true]);
    expect(intensity.charge(300, 0.5)).to.equal(null);
  });

  it("forgets restarts that are older than the period (S3)", () => {
    const intensity = new RestartIntensity({ intensity: 1, periodMs: 1_000 });
    expect(intensity.charge(0, 0.5)).to.equal(0);
    expect(intensity.charge(1_000, 0.5)).to.equal(0);
  });

  it("waits longer before each restart of a period, never beyond the most, and not at all before the first", () => {
    const intensity = new RestartIntensity({ intensity: 10, periodMs: 1_000_000, backoffMs: { first: 20, most: 100 } });
    expect([1, 2, 3, 4, 5, 6].map((atMs) => intensity.charge(atMs, 1))).to.deep.equal([0, 20, 40, 80, 100, 100]);
  });
});
