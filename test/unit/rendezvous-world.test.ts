import { expect } from "chai";
import fc from "fast-check";
import { arrangeWorld, decideSeal, type Joiner, type RoleLimits, usableOf } from "../../src/job/rendezvous.js";

const worker: RoleLimits = { role: "worker", min: 1, max: 10_000, unit: 1 };
const chief: RoleLimits = { role: "chief", min: 1, max: 1, unit: 1 };
const joiner = (node: string, told: Partial<Joiner> = {}): Joiner => ({
  node,
  role: "worker",
  nodeRank: Number(node.slice(1)),
  formerGroupRank: null,
  nproc: 1,
  ...told,
});

const limitsArbitrary = fc
  .record({ min: fc.integer({ min: 1, max: 8 }), more: fc.integer({ min: 0, max: 12 }), unit: fc.integer({ min: 1, max: 4 }) })
  .map(({ min, more, unit }): RoleLimits => ({ role: "worker", min, max: Math.max(min + more, unit), unit }));
const joinersArbitrary = fc
  .uniqueArray(fc.record({ id: fc.nat(99), former: fc.option(fc.nat(15)), nproc: fc.integer({ min: 1, max: 8 }) }), {
    selector: ({ id }) => id,
    maxLength: 24,
  })
  .map((told) => {
    const taken = new Set<number>();
    return told.map(({ id, former, nproc }) => {
      const isFree = former !== null && !taken.has(former);
      if (isFree) taken.add(former);
      return joiner(`w${id}`, { formerGroupRank: isFree ? former : null, nproc });
    });
  });

describe("the world of a rendezvous", () => {
  it("has as many nodes as the limits allow, in group ranks and ranks without a gap (V1, V3)", () => {
    fc.assert(
      fc.property(limitsArbitrary, joinersArbitrary, (limits, joiners) => {
        const world = arrangeWorld([limits], joiners);
        expect(world.length).to.equal(usableOf(limits, joiners.length));
        let rank = 0;
        world.forEach((place, index) => {
          expect(place).to.include({ groupRank: index, firstRank: rank });
          rank += place.nproc;
        });
        expect(new Set(world.map(({ node }) => node)).size).to.equal(world.length);
        if (world.length > 0) {
          expect(world.length).to.be.within(limits.min, limits.max);
          expect(world.length % limits.unit).to.equal(0);
        }
      }),
    );
  });

  it("lets a node keep its former place where the new world has it (V3)", () => {
    fc.assert(
      fc.property(joinersArbitrary, (joiners) => {
        const world = arrangeWorld([{ ...worker, max: 24 }], joiners);
        for (const { node, formerGroupRank } of joiners) {
          if (formerGroupRank === null || formerGroupRank >= world.length) continue;
          expect(world[formerGroupRank]?.node).to.equal(node);
        }
      }),
    );
  });

  it("does not depend on the order in which they joined", () => {
    fc.assert(
      fc.property(limitsArbitrary, joinersArbitrary, fc.array(fc.nat(), { minLength: 24 }), (limits, joiners, order) => {
        const shuffled = joiners.map((one, index) => ({ one, at: order[index] ?? 0 })).sort((a, b) => a.at - b.at);
        expect(arrangeWorld([limits], shuffled.map(({ one }) => one))).to.deep.equal(arrangeWorld([limits], joiners));
      }),
    );
  });

  it("begins with the chief, and is none without it", () => {
    const workers = [joiner("w0", { formerGroupRank: 0, nproc: 2 }), joiner("w1", { nproc: 2 })];
    const world = arrangeWorld([worker, chief], [...workers, joiner("c0", { role: "chief" })]);
    expect(world.map(({ node, firstRank }) => [node, firstRank])).to.deep.equal([["c0", 0], ["w0", 1], ["w1", 3]]);
    expect(arrangeWorld([worker, chief], workers)).to.deep.equal([]);
  });

  it("lets the heir of a lost node have its place", () => {
    const joiners = [joiner("w1", { formerGroupRank: 1 }), joiner("w2", { formerGroupRank: 2 }), joiner("w3", { nodeRank: 0 })];
    expect(arrangeWorld([worker], joiners).map(({ node }) => node)).to.deep.equal(["w3", "w1", "w2"]);
  });

  it("takes 10,000 nodes in well under a second (V4)", () => {
    const joiners = Array.from({ length: 10_000 }, (_, index) => joiner(`w${index}`, { formerGroupRank: (index * 7) % 10_000 }));
    const since = process.hrtime.bigint();
    expect(arrangeWorld([worker], joiners)).to.have.length(10_000);
    expect(Number(process.hrtime.bigint() - since) / 1e6).to.be.below(500);
  });
});

describe("the seal of a round", () => {
  const input = {
    limits: [{ role: "worker", min: 2, max: 4, unit: 2 } as const],
    joined: new Map([["worker", 2]] as const),
    awaited: 1,
    fitSinceMs: 1_000,
    shortSinceMs: 0,
    nowMs: 1_500,
    lastCallMs: 1_000,
    joinTimeoutMs: 10_000,
  };

  it("comes at once when nobody else can come (V2)", () => {
    expect(decideSeal({ ...input, awaited: 0 })).to.include({ kind: "seal" });
  });

  it("comes at once when the maximum is there (V2)", () => {
    expect(decideSeal({ ...input, joined: new Map([["worker", 4]]), awaited: 7 })).to.include({ kind: "seal" });
  });

  it("waits for the last call, and no longer (V2)", () => {
    expect(decideSeal(input)).to.deep.equal({ kind: "wait", untilMs: 2_000 });
    expect(decideSeal({ ...input, nowMs: 2_000 })).to.include({ kind: "seal" });
  });

  it("waits for the minimum until the join timeout, even with nobody on the way", () => {
    const short = { ...input, joined: new Map([["worker", 1]] as const), awaited: 0, fitSinceMs: null };
    expect(decideSeal(short)).to.deep.equal({ kind: "wait", untilMs: 10_000 });
    expect(decideSeal({ ...short, nowMs: 10_000 })).to.deep.equal({
      kind: "too-few",
      because: "1 of at least 2 workers joined after 10 s",
    });
  });

  it("counts in units: a minimum of 3 in units of 2 needs 4", () => {
    expect(usableOf({ role: "worker", min: 3, max: 9, unit: 2 }, 3)).to.equal(0);
    expect(usableOf({ role: "worker", min: 3, max: 9, unit: 2 }, 5)).to.equal(4);
    expect(usableOf({ role: "worker", min: 3, max: 9, unit: 2 }, 20)).to.equal(8);
  });
});
