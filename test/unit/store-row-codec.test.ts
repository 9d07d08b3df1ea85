import { expect } from "chai";
import fc from "fast-check";
import { checksumOf, checksumOfText, decodePayload, encodePayload } from "../../src/store/row-codec.js";

describe("row codec", () => {
  it("brings back what msgpackr can carry as what it was (C1)", () => {
    const value = {
      map: new Map<unknown, unknown>([
        ["a", { b: 1 }],
        [3, new Set(["x"])],
      ]),
      big: 2n ** 80n,
      small: -5n,
      bytes: new Uint8Array([1, 2, 3]),
      date: new Date(5),
      missing: undefined,
      nothing: null,
      list: [
        { x: 1, y: 2 },
        { x: 3, y: 4 },
      ],
      large: Number.MAX_SAFE_INTEGER,
    };
    const { map, ...withoutMap } = value;
    for (const each of [value, withoutMap, map, [map], new Set([map]), [withoutMap], { deep: [{ map }] }]) {
      expect(decodePayload(encodePayload(each))).to.deep.equal(each);
    }
  });

  it("brings back any plain data, and the same bytes for the same data (C1)", () => {
    const key = fc.string().filter((name) => name !== "__proto__"); // Not carried, for safety's sake.
    const data = fc.object({ key, withBigInt: true });
    fc.assert(
      fc.property(data, (value) => {
        const payload = encodePayload(value);
        const again = decodePayload(payload);
        expect(Buffer.compare(encodePayload(again), payload)).to.equal(0);
      }),
    );
  });

  it("gives another checksum for another byte, actor, number or time (C2)", () => {
    const payload = encodePayload({ type: "counted", number: 1 });
    const right = checksumOf(payload, checksumOfText("a"), 7, 1_700_000_000_000);
    const flipped = Uint8Array.from(payload, (byte, index) => (index === 4 ? byte ^ 1 : byte));
    const wrong = [
      checksumOf(flipped, checksumOfText("a"), 7, 1_700_000_000_000),
      checksumOf(payload, checksumOfText("b"), 7, 1_700_000_000_000),
      checksumOf(payload, checksumOfText("a"), 8, 1_700_000_000_000),
      checksumOf(payload, checksumOfText("a"), 7, 1_700_000_000_001),
      checksumOf(payload, checksumOfText("a"), 7, 1_700_000_000_000 + 2 ** 33),
    ];
    expect(new Set([right, ...wrong]).size).to.equal(6);
  });

  it("throws for what cannot be carried", () => {
    const cycle: { self?: unknown } = {};
    cycle.self = cycle;
    expect(() => encodePayload(cycle)).to.throw();
    expect(() => encodePayload({ symbol: Symbol("no") })).to.throw();
  });
});
