/** Frames survive the way whatever their shapes are: the table that both sides share may grow at any point, and some shapes never enter it. */

import { expect } from "chai";
import fc from "fast-check";
import { FrameDecoder, FrameEncoder } from "../../src/runtime/frame-codec.js";

const table = (keys: number, prefix: string): Record<string, number> => Object.fromEntries(Array.from({ length: keys }, (_, i) => [`${prefix}${i}`, i]));

function allPass(messages: readonly unknown[]): void {
  const [encoder, decoder] = [new FrameEncoder(), new FrameDecoder()];
  for (const message of messages) expect(decoder.decode(encoder.encode(message))).to.deep.equal(message);
}

describe("a frame", () => {
  it("is read with more shapes known than one byte can name", () => {
    const shapes = Array.from({ length: 1_500 }, (_, i) => ({ kind: "tell", [`field${i}`]: { [`inner${i % 700}`]: i } }));
    allPass([...shapes, ...shapes, shapes]);
  });

  it("carries the same large table twice, at the first frame and later", () => {
    const env = table(70, "NAME_");
    allPass([[{ env }, { env }], [{ spec: { env } }, { spec: { env }, more: env }], env]);
  });

  it("comes out as it went in (property)", () => {
    const key = fc.integer({ min: 0, max: 300 }).map((i) => `k${i}`);
    const large = fc.integer({ min: 60, max: 90 }).map((keys) => table(keys, "big"));
    const record = fc.letrec((tie) => ({
      node: fc.oneof({ maxDepth: 3 }, fc.integer(), large, fc.array(tie("node"), { maxLength: 3 }), fc.dictionary(key, tie("node"), { noNullPrototype: true, maxKeys: 5 })),
    })).node;
    fc.assert(fc.property(fc.array(record, { minLength: 1, maxLength: 30 }), allPass), { numRuns: 200 });
  });
});
