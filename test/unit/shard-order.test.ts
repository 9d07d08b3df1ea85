import { expect } from "chai";
import fc from "fast-check";
import { orderKey, shuffledPlace, shuffledRange } from "../../src/job/shard-order.js";

const key = fc.integer({ min: 0, max: 2 ** 32 - 1 });

describe("shard order", () => {
  it("puts every shard in exactly one place, for any count and key (O1)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3_000 }), key, (count, seed) => {
        const places = new Set(Array.from({ length: count }, (_, position) => shuffledPlace(position, count, seed)));
        expect(places.size).to.equal(count);
        for (const place of places) expect(place).to.be.within(0, count - 1);
      }),
    );
  });

  it("stays within the count when that is as large as a number can be (O1)", () => {
    const count = Number.MAX_SAFE_INTEGER;
    const positions = fc.oneof(fc.maxSafeNat(), fc.integer({ min: 0, max: 100 })).map((n) => Math.min(n, count - 1));
    fc.assert(
      fc.property(positions, key, (position, seed) => {
        const place = shuffledPlace(position, count, seed);
        expect(Number.isSafeInteger(place) && place >= 0 && place < count).to.equal(true);
      }),
    );
  });

  it("brings each shard to each place about equally often", () => {
    const count = 10;
    const seeds = 20_000;
    const hits = Array.from({ length: count }, () => Array.from({ length: count }, () => 0));
    for (let seed = 0; seed < seeds; seed++) {
      for (let position = 0; position < count; position++) {
        const row = hits[position]!;
        const place = shuffledPlace(position, count, orderKey(seed, 0));
        row[place] = row[place]! + 1;
      }
    }
    const expected = seeds / count;
    for (const hit of hits.flat()) expect(hit).to.be.within(expected * 0.85, expected * 1.15);
  });

  it("leaves few neighbours beside each other", () => {
    const count = 100_000;
    let neighbours = 0;
    for (let position = 1; position < count; position++) {
      const step = shuffledPlace(position, count, 7) - shuffledPlace(position - 1, count, 7);
      if (Math.abs(step) === 1) neighbours += 1;
    }
    expect(neighbours).to.be.below(20);
  });

  it("shuffles a range into the same numbers in another order", () => {
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(500), key, (start, length, seed) => {
        const shuffled = shuffledRange(start, start + length, seed);
        expect([...shuffled].sort((a, b) => a - b)).to.deep.equal(Array.from({ length }, (_, i) => start + i));
        expect(shuffledRange(start, start + length, seed)).to.deep.equal(shuffled);
      }),
    );
  });

  it("gives another order for another seed, epoch or shard (O2)", () => {
    const keys = [
      orderKey(1, 0),
      orderKey(1, 1),
      orderKey(2, 0),
      orderKey(-1, 0),
      orderKey(1 + 2 ** 32, 0),
      orderKey(1, 0, 0),
      orderKey(1, 0, 1),
      orderKey(0, 1),
    ];
    expect(new Set(keys).size).to.equal(keys.length);
    const orders = keys.map((each) => Array.from({ length: 20 }, (_, i) => shuffledPlace(i, 20, each)).join());
    expect(new Set(orders).size).to.equal(orders.length);
  });
});
