/** The bounded mailbox of two lanes, against a model. */

import { expect } from "chai";
import fc from "fast-check";
import { Mailbox } from "../../src/runtime/mailbox.js";

describe("mailbox", () => {
  it("gives control messages first, each lane in its order, and refuses what is over the capacity (M1, M2)", () => {
    const push = fc.record({ isControl: fc.boolean(), item: fc.integer() });
    fc.assert(
      fc.property(fc.array(fc.oneof(push, fc.constant(null))), fc.integer({ min: 1, max: 5 }), (steps, capacity) => {
        const mailbox = new Mailbox<number>(capacity);
        const lanes: [number[], number[]] = [[], []];
        for (const step of steps) {
          if (step === null) {
            expect(mailbox.shift()).to.equal(lanes[0].shift() ?? lanes[1].shift());
          } else {
            const lane = lanes[step.isControl ? 0 : 1];
            const fits = lane.length < capacity;
            if (fits) lane.push(step.item);
            expect(mailbox.push(step.item, step.isControl)).to.equal(fits);
          }
          expect(mailbox.depth).to.equal(lanes[0].length + lanes[1].length);
        }
      }),
    );
  });
});
