/** Where a node goes (src/job/placement.ts). */

import { expect } from "chai";
import fc from "fast-check";
import type { Resources } from "../../src/job/job-spec.js";
import { emptyRoom, giveRoom, type HostRoom, placeNode, type PlacementDecision, type PlacementStrategy, takeRoom } from "../../src/job/placement.js";

const GiB = 2 ** 30;
const nothing: Resources = { cpu: 0, memoryBytes: 0, gpu: 0, custom: {} };
const takes = (resources: Partial<Resources>): Resources => ({ ...nothing, ...resources });
const room = (host: string, total: Partial<Resources> = { cpu: 8, memoryBytes: 16 * GiB }, more: { nodesMax?: number; isUp?: boolean } = {}): HostRoom =>
  emptyRoom({ host, address: host, total: takes(total), nodesMax: 10, isUp: true, ...more });
const place = (rooms: HostRoom[], resources: Partial<Resources> = {}, more: { avoidHosts?: string[]; strategy?: PlacementStrategy } = {}): PlacementDecision =>
  placeNode({ node: "worker-0", resources: takes(resources), avoidHosts: more.avoidHosts ?? [] }, rooms, more.strategy ?? "SPREAD");
const hostOf = (decision: PlacementDecision): string => (decision.kind === "place" ? decision.host : decision.because);

describe("placing a node", () => {
  it("spreads over the host with the fewest nodes, or packs onto the one with the most", () => {
    const [a, b] = [room("a"), room("b")];
    takeRoom(a, nothing);
    expect(hostOf(place([a, b]))).to.equal("b");
    expect(hostOf(place([a, b], {}, { strategy: "PACK" }))).to.equal("a");
  });

  it("gives a tie to the host that was listed first (P4)", () => {
    expect(hostOf(place([room("b"), room("a")]))).to.equal("b");
  });

  it("promises no more nodes than a host allows (P1)", () => {
    const only = room("a", {}, { nodesMax: 1 });
    takeRoom(only, nothing);
    expect(place([only])).to.deep.equal({ kind: "wait", because: "worker-0 waits: a holds 1 of 1 nodes." });
  });

  it("waits for what is taken now, and says what is lacking (P2)", () => {
    const only = room("a", { cpu: 4 });
    takeRoom(only, takes({ cpu: 3 }));
    expect(place([only], { cpu: 2 })).to.deep.equal({ kind: "wait", because: "worker-0 waits: a has 1 of cpu free of the 2 that it takes." });
    giveRoom(only, takes({ cpu: 3 }));
    expect(hostOf(place([only], { cpu: 2 }))).to.equal("a");
  });

  it("refuses what can never fit, naming the resource and the nearest host (P2)", () => {
    expect(place([room("small", { cpu: 2 }), room("large", { cpu: 8 })], { cpu: 16 })).to.deep.equal({
      kind: "refuse",
      because: "worker-0 can never be placed: it takes 16 of cpu, and the nearest of 2 hosts, large, has 8.",
    });
    expect(place([room("a")], { memoryBytes: 64 * GiB }).because).to.equal(
      "worker-0 can never be placed: it takes 64.00 GiB of memory, and host a has 16.00 GiB.",
    );
    expect(place([room("a")], { custom: { tpu: 1 } }).because).to.include("it takes 1 of tpu, and host a has 0");
    expect(place([room("a")], { gpu: 1 }).because).to.include("it takes 1 of gpu, and host a has 0");
  });

  it("waits while no host is known, and for a host that is down", () => {
    expect(place([]).kind).to.equal("wait");
    expect(place([room("a", {}, { isUp: false })]).because).to.equal("worker-0 waits: no host that could hold it is up.");
  });

  it("avoids a host as long as another could ever hold the node (P3)", () => {
    const [a, b] = [room("a"), room("b", { cpu: 8 }, { isUp: false })];
    expect(place([a, b], { cpu: 1 }, { avoidHosts: ["a"] }).kind).to.equal("wait");
    expect(hostOf(place([a, room("c")], {}, { avoidHosts: ["a"] }))).to.equal("c");
    expect(hostOf(place([a], {}, { avoidHosts: ["a"] }))).to.equal("a");
    expect(hostOf(place([a, room("tiny", { cpu: 1 })], { cpu: 4 }, { avoidHosts: ["a"] }))).to.equal("a");
  });

  it("never promises more than there is, whatever comes and goes (P1)", () => {
    const amount = fc.record({ cpu: fc.integer({ min: 0, max: 4 }), gpu: fc.integer({ min: 0, max: 2 }) });
    const strategy = fc.constantFrom<PlacementStrategy>("PACK", "SPREAD");
    fc.assert(
      fc.property(fc.array(amount, { maxLength: 40 }), fc.array(fc.nat(50)), strategy, (wishes, ends, chosen) => {
        const rooms = [room("a", { cpu: 4, gpu: 1 }), room("b", { cpu: 8, gpu: 2 }, { nodesMax: 3 })];
        const placed: { on: HostRoom; resources: Resources }[] = [];
        for (const [at, wish] of wishes.entries()) {
          const decision = place(rooms, wish, { strategy: chosen });
          const on = rooms.find(({ record }) => decision.kind === "place" && record.host === decision.host);
          if (on) {
            takeRoom(on, takes(wish));
            placed.push({ on, resources: takes(wish) });
          }
          const ended = placed.splice(ends[at] ?? placed.length, 1)[0];
          if (ended) giveRoom(ended.on, ended.resources);
          for (const { free, nodes, record } of rooms) {
            expect(Math.min(free.cpu, free.gpu)).to.be.at.least(0);
            expect(nodes).to.be.within(0, record.nodesMax);
            expect(nodes).to.equal(placed.filter(({ on: host }) => host.record === record).length);
          }
        }
      }),
    );
  });
});
