import { expect } from "chai";
import fc from "fast-check";
import { packWorld, unpackWorld, type World } from "../../src/job/dlrover/packed-world.js";

const worldOf = (world: World["world"]): World => ({ round: 3, group: 1, world });

describe("a packed world", () => {
  it("is what it was, whatever the order, holes and ranks of its nodes", () => {
    const pair = fc.tuple(fc.oneof(fc.nat(12), fc.nat(0xffff_ffff)), fc.oneof(fc.nat(2), fc.nat(0xffff_ffff)));
    fc.assert(
      fc.property(fc.array(pair, { maxLength: 40 }), (pairs) => {
        expect(unpackWorld(packWorld(worldOf(pairs)))).to.deep.equal(worldOf(pairs));
      }),
    );
  });

  it("is a few bytes where its nodes have consecutive ranks", () => {
    const all = Array.from({ length: 1_000 }, (_, rank) => [rank, 8] as const);
    expect(packWorld(worldOf(all)).world).to.have.length(12);
    expect(packWorld(worldOf(all.filter(([rank]) => rank !== 500))).world).to.have.length(24);
    expect(packWorld(worldOf([])).world).to.have.length(0);
  });
});
