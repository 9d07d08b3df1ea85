/** What is DLRover's alone: keys, network checks, syncs, versions, actions. */

import { expect } from "chai";
import fc from "fast-check";
import { queueAction, takeAction } from "../../src/job/dlrover/action-queue.js";
import * as book from "../../src/job/dlrover/cluster-book.js";
import type { DlroverEvent } from "../../src/job/dlrover/dlrover-event.js";
import type { DlroverLedger } from "../../src/job/dlrover/dlrover-ledger.js";
import { applyDlroverEvent, openDlroverRecord } from "../../src/job/dlrover/dlrover-record.js";
import * as keys from "../../src/job/dlrover/key-store.js";
import * as check from "../../src/job/dlrover/network-check.js";
import * as syncs from "../../src/job/dlrover/sync-service.js";
import { decodePayload, encodePayload } from "../../src/store/row-codec.js";

class Desk implements DlroverLedger {
  readonly record = openDlroverRecord();
  readonly events: DlroverEvent[] = [];
  nowMs = 1_000_000;

  emit(event: DlroverEvent): void {
    this.events.push(decodePayload(encodePayload(event)) as DlroverEvent);
    applyDlroverEvent(this.record, event);
  }
}

const getAll = (desk: Desk, names: readonly string[]): unknown[] => names.map((name) => keys.getKey(desk, name));
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const limits = (told: Partial<check.CheckLimits>): check.CheckLimits => ({ min: 1, max: 100, unit: 1, lastCallMs: 5_000, awaited: new Set(), isOpen: false, ...told });

describe("the key-value store of DLRover's agents", () => {
  it("gives back what was set, in its own kind, and null for what is not there", () => {
    const desk = new Desk();
    keys.setKeys(desk, [["a", bytes("x")], ["b", 3], ["c", "text"], ["d", { pickle: bytes("p") }]]);
    expect(getAll(desk, ["c", "b", "a", "d", "e"])).to.deep.equal(["text", 3, bytes("x"), { pickle: bytes("p") }, null]);
    expect(["a", "b", "e"].filter((key) => keys.isMissing(desk, key))).to.deep.equal(["e"]);
  });

  it("adds as Python does, and leaves alone what cannot be added", () => {
    const desk = new Desk();
    expect(keys.addToKey(desk, "n", 2)).to.equal(2);
    expect(keys.addToKey(desk, "n", 40)).to.equal(42);
    expect(keys.addToKey(desk, "n", "x")).to.equal("x");
    expect(getAll(desk, ["n"])).to.deep.equal([42]);
    keys.setKeys(desk, [["b", bytes("ab")]]);
    expect(keys.addToKey(desk, "b", bytes("c"))).to.deep.equal(bytes("abc"));
    expect(keys.addToKey(desk, "big", Number.MAX_SAFE_INTEGER)).to.equal(Number.MAX_SAFE_INTEGER);
    expect(keys.addToKey(desk, "big", 1)).to.equal(2n ** 53n);
  });

  it("counts each member of a barrier once, and answers it the same again, until the round is forgotten", () => {
    const desk = new Desk();
    const key = (round: number): string => `elastic-training/torch.rendezvous.elastic-training.${round}.0/torchelastic/agent/terminal_state/num_members`;
    const add = (peer: string, round = 1): unknown => keys.addOnce(desk, peer, key(round), 1);
    expect([add("worker-0"), add("worker-0"), add("worker-1"), add("worker-0"), add("worker-1")]).to.deep.equal([1, 1, 2, 1, 2]);
    expect(getAll(desk, [key(1)])).to.deep.equal([2]);
    for (let round = 2; round <= 5; round++) expect(add("worker-0", round)).to.equal(1);
    expect([...desk.record.counted.keys()]).to.deep.equal([2, 3, 4, 5].map(key));
    expect([keys.addOnce(desk, "worker-0", "n", 1), keys.addOnce(desk, "worker-0", "n", 1)]).to.deep.equal([1, 2]);
  });

  it("counts every add once, whatever the order", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.constantFrom("a", "b"), fc.integer())), (adds) => {
        const desk = new Desk();
        for (const [key, value] of adds) keys.addToKey(desk, key, value);
        for (const key of ["a", "b"]) {
          const all = adds.filter(([name]) => name === key);
          if (all.length > 0) expect(getAll(desk, [key])).to.deep.equal([all.reduce((sum, [, value]) => sum + value, 0)]);
        }
      }),
    );
  });

  it("forgets the keys of rounds that are long over, and no others", () => {
    const desk = new Desk();
    for (let round = 1; round <= 6; round++) {
      for (const name of ["MASTER_ADDR", "MASTER_PORT"]) keys.setKeys(desk, [[`elastic-training/torch.rendezvous.elastic-training.${round}.0/${name}`, bytes("x")]]);
    }
    keys.setKeys(desk, [["mine", 1]]);
    expect([...desk.record.keys.keys()].map((key) => /training\.(\d+)\./.exec(key)?.[1] ?? key)).to.deep.equal(["3", "3", "4", "4", "5", "5", "6", "6", "mine"]);
  });

  it("refuses what there is no room for, and sets nothing of it", () => {
    const desk = new Desk();
    desk.record.keyBytes = 512 * 1024 * 1024 - 10;
    expect(keys.setKeys(desk, [["a", 1], ["b", bytes("0123456789")]])).to.equal(false);
    expect(getAll(desk, ["a"])).to.deep.equal([null]);
  });
});

describe("the network check of DLRover's agents", () => {
  const join = (desk: Desk, ...ranks: readonly number[]): void => ranks.forEach((rank) => void check.joinCheck(desk, { peer: `worker-${rank}`, rank, nproc: 2 }));
  const world = (desk: Desk, rank: number, told: Partial<check.CheckLimits> = {}): check.CheckWorld | null => check.worldOfCheck(desk, rank, limits(told));
  const report = (desk: Desk, bad: readonly number[], ranks: readonly number[]): void =>
    ranks.forEach((rank) => check.reportCheck(desk, rank, !bad.includes(rank), bad.includes(rank) ? 3_600 : 1 + rank / 10));

  it("begins when nobody else is to come, when as many are there as may be, or after the last call", () => {
    const desk = new Desk();
    join(desk, 0, 1);
    expect(world(desk, 0, { isOpen: true })).to.equal(null);
    expect(check.checkDueAtMs(desk.record, limits({ isOpen: true }))).to.equal(1_005_000);
    desk.nowMs = 1_005_000;
    expect(world(desk, 0, { isOpen: true })?.world).to.deep.equal([[0, 2], [1, 2]]);
    const other = new Desk();
    join(other, 0, 1, 2);
    expect(world(other, 0, { max: 2, awaited: new Set(["worker-9"]) })?.world).to.deep.equal([[0, 2], [1, 2]]);
    expect(world(other, 2, { max: 2, awaited: new Set(["worker-9"]) })).to.equal(null);
  });

  it("gives nodes that are there more than a short last call, so that they are not left out", () => {
    const desk = new Desk();
    const told = { min: 3, lastCallMs: 3_000, awaited: new Set(["worker-3"]) };
    join(desk, 0, 1, 2);
    desk.nowMs += 29_999;
    expect(world(desk, 0, told)).to.equal(null);
    desk.nowMs += 1;
    expect(world(desk, 0, told)?.round).to.equal(1);
  });

  it("waits in its second round for all members of the first that are there, however long, and for nobody else", () => {
    const desk = new Desk();
    const told = (...awaited: readonly string[]): Partial<check.CheckLimits> => ({ min: 3, lastCallMs: 3_000, awaited: new Set(awaited) });
    join(desk, 0, 1, 2, 3);
    world(desk, 0);
    report(desk, [2, 3], [0, 1, 2, 3]);
    check.networkFaults(desk);
    join(desk, 0, 1, 2);
    expect(check.checkDueAtMs(desk.record, limits(told("worker-7")))).to.equal(desk.nowMs + 30_000);
    desk.nowMs += 600_000;
    expect(world(desk, 0, told("worker-3"))).to.equal(null);
    expect(check.checkDueAtMs(desk.record, limits(told("worker-3")))).to.equal(null);
    join(desk, 3);
    expect(world(desk, 0, told())?.round).to.equal(2);
    expect(desk.record.check.groups).to.deep.equal([[0, 3], [1, 2]]);
  });

  it("tells every member its group, whoever joins after it has begun", () => {
    const desk = new Desk();
    join(desk, 0, 1, 2, 3);
    expect(world(desk, 0)?.world).to.deep.equal([[0, 2], [1, 2]]);
    join(desk, 4);
    expect(world(desk, 1)).to.deep.equal({ round: 1, group: 0, world: [[0, 2], [1, 2]] });
    expect(world(desk, 3)).to.deep.equal({ round: 1, group: 1, world: [[2, 2], [3, 2]] });
    expect(check.countCheckWaiting(desk, 1)).to.equal(1);
  });

  it("pairs by rank first, a last single one with the pair before it", () => {
    const desk = new Desk();
    join(desk, 4, 3, 2, 1, 0);
    expect([0, 1, 2, 3, 4].map((rank) => world(desk, rank)?.group)).to.deep.equal([0, 0, 1, 1, 1]);
    expect(world(desk, 4)).to.deep.equal({ round: 1, group: 1, world: [[2, 2], [3, 2], [4, 2]] });
  });

  it("waits for every member's word, then names those who failed in both rounds", () => {
    const desk = new Desk();
    join(desk, 0, 1, 2, 3);
    world(desk, 0);
    report(desk, [2, 3], [0, 2, 3]);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [], reason: "Waiting node" });
    report(desk, [], [1]);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [2, 3], reason: "Node Failure" });
    join(desk, 0, 1, 2, 3);
    expect(world(desk, 0)?.round).to.equal(2);
    expect(desk.record.check.groups).to.deep.equal([[0, 3], [1, 2]]); // The fast with the slow.
    report(desk, [3], [0, 1, 2, 3]);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [3], reason: "Node Failure" });
    expect(check.networkStragglers(desk).nodes).to.deep.equal([3]);
  });

  it("skips the second round where the first was clean, and begins anew with pairs by rank", () => {
    const desk = new Desk();
    join(desk, 0, 1);
    world(desk, 0);
    report(desk, [], [0, 1]);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [], reason: "" });
    join(desk, 0, 1);
    expect(world(desk, 1)?.round).to.equal(3);
  });

  it("does not wait for a member that is gone: it has failed", () => {
    const desk = new Desk();
    join(desk, 0, 1);
    world(desk, 0);
    report(desk, [], [0]);
    check.leaveCheck(desk, "worker-1", "lost");
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [1], reason: "Node Failure" });
    join(desk, 5);
    check.leaveCheck(desk, "worker-5", "lost");
    expect(check.countCheckWaiting(desk, 1)).to.equal(0);
  });

  it("leaves a member in its group that says its join again, for the answer was lost", () => {
    const desk = new Desk();
    join(desk, 0, 1);
    expect(world(desk, 0)?.world).to.deep.equal([[0, 2], [1, 2]]);
    join(desk, 1);
    expect(check.countCheckWaiting(desk, 1)).to.equal(0);
    expect(world(desk, 1)).to.deep.equal({ round: 1, group: 0, world: [[0, 2], [1, 2]] });
    report(desk, [], [0, 1]);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [], reason: "" });
  });

  it("takes a member for failed that joins again without a word of its check, so that nobody waits for it", () => {
    const desk = new Desk();
    join(desk, 0, 1, 2, 3);
    for (const rank of [0, 1, 2, 3]) world(desk, rank);
    report(desk, [], [0, 2, 3]);
    join(desk, 1);
    expect(check.networkFaults(desk)).to.deep.equal({ nodes: [1], reason: "Node Failure" });
    join(desk, 0, 2, 3);
    expect(world(desk, 1)?.round).to.equal(2);
  });

  it("has each member in one group, of two or three, whatever the ranks and times; and who passed once is good", () => {
    const ranksOf = fc.uniqueArray(fc.nat(60), { minLength: 2, maxLength: 25 });
    fc.assert(
      fc.property(ranksOf, fc.infiniteStream(fc.tuple(fc.boolean(), fc.integer({ min: 1, max: 99 }))), (ranks, words) => {
        const desk = new Desk();
        const passed = new Set<number>();
        for (const round of [1, 2]) {
          join(desk, ...ranks);
          expect(world(desk, ranks[0] ?? 0)?.round).to.equal(round);
          const { groups } = desk.record.check;
          expect(groups.flat().sort((a, b) => a - b)).to.deep.equal([...ranks].sort((a, b) => a - b));
          for (const group of groups) expect(group.length).to.be.within(2, 3);
          for (const rank of ranks) {
            const [isOk, seconds] = words.next().value as [boolean, number];
            if (isOk) passed.add(rank);
            check.reportCheck(desk, rank, isOk, isOk ? seconds : 3_600);
          }
          const { nodes } = check.networkFaults(desk);
          expect([...nodes].sort((a, b) => a - b)).to.deep.equal(ranks.filter((rank) => !passed.has(rank)).sort((a, b) => a - b));
          if (desk.record.check.round !== round) return; // A clean first round.
        }
      }),
    );
  });
});

describe("syncs, barriers and checkpoints of DLRover's workers", () => {
  it("a sync is finished when all that ran at its beginning have joined or are gone", () => {
    const desk = new Desk();
    expect(syncs.isSyncFinished(desk, "s")).to.equal(false);
    syncs.joinSync(desk, "s", "worker-0", ["worker-0", "worker-1", "worker-2"]);
    syncs.joinSync(desk, "s", "worker-1", []);
    expect(syncs.isSyncFinished(desk, "s")).to.equal(false);
    desk.emit({ type: "peer-left", peer: "worker-2", because: "lost" });
    expect(syncs.isSyncFinished(desk, "s")).to.equal(true);
  });

  it("a barrier is open once somebody said so", () => {
    const desk = new Desk();
    expect([syncs.passBarrier(desk, "b", false), syncs.passBarrier(desk, "b", true), syncs.passBarrier(desk, "b", false)]).to.deep.equal([false, true, true]);
  });

  it("a checkpoint is in step when every member of this world is, whatever departed ones have said", () => {
    const desk = new Desk();
    const world = { round: 2, members: ["worker-0", "worker-1"] };
    syncs.syncCheckpoint(desk, "worker-9", 7, { round: 1, members: ["worker-9"] });
    expect(syncs.syncCheckpoint(desk, "worker-0", 20, world)).to.equal(false);
    expect(syncs.syncCheckpoint(desk, "worker-1", 19, world)).to.equal(false);
    expect(syncs.syncCheckpoint(desk, "worker-1", 20, world)).to.equal(true);
    expect(syncs.syncCheckpoint(desk, "worker-0", 20, { round: 3, members: ["worker-0"] })).to.equal(true);
  });

  it("a port is settled when all propose the same; else all are told the largest", () => {
    const desk = new Desk();
    const running = ["worker-0", "worker-1"];
    expect(syncs.settlePort(desk, "worker-0", 60_000, running)).to.deep.equal({ port: 0, newPort: 0 });
    expect(syncs.settlePort(desk, "worker-1", 60_010, running)).to.deep.equal({ port: 0, newPort: 60_010 });
    expect(syncs.settlePort(desk, "worker-0", 60_000, running)).to.deep.equal({ port: 0, newPort: 60_010 });
    syncs.settlePort(desk, "worker-0", 60_010, running);
    expect(syncs.settlePort(desk, "worker-1", 60_010, running)).to.deep.equal({ port: 60_010, newPort: 0 });
  });
});

describe("versions, configurations and actions of DLRover's nodes", () => {
  it("versions have the defaults of DLRover's service", () => {
    const desk = new Desk();
    expect([book.versionOf(desk, "GLOBAL", "worker", 0), book.versionOf(desk, "RESTORED", "worker", 0), book.versionOf(desk, "LOCAL", "ps", 1)]).to.deep.equal([0, -1, 0]);
    book.setVersion(desk, { kind: "GLOBAL", taskType: "worker", taskId: 3, version: 4 });
    expect(book.versionOf(desk, "GLOBAL", "ps", 0)).to.equal(4);
    expect(book.setVersion(desk, { kind: "OTHER", taskType: "worker", taskId: 3, version: 4 })).to.equal(false);
  });

  it("an action is told once, the oldest first; an expired one is dropped and keeps no other waiting", () => {
    const desk = new Desk();
    const node = { type: "worker", id: 0 };
    queueAction(desk, node, "restart", "old");
    desk.nowMs += 300_001;
    queueAction(desk, node, "restart", "new");
    queueAction(desk, node, "restart", "new");
    queueAction(desk, node, "event", "hello");
    const taken = [15, 30, 45].map((atSeconds) => takeAction(desk, "worker-0", atSeconds));
    expect(taken.map((each) => each?.because ?? null)).to.deep.equal(["new", "hello", null]);
    expect(JSON.parse(taken[0]?.wire.content ?? "")).to.include({ action_type: "restart_worker", instance: -2, node_id: 0 });
    expect(taken[1]?.wire.cls).to.equal("EventAction");
    expect(takeAction(desk, "worker-1", 15)).to.equal(null);
  });

  it("a heartbeat that comes again, for its answer was lost, is told the same action, and the next one the next", () => {
    const desk = new Desk();
    for (const because of ["one", "two"]) queueAction(desk, { type: "worker", id: 0 }, "restart", because);
    expect([15, 15, 30, 30, 45].map((atSeconds) => takeAction(desk, "worker-0", atSeconds)?.because ?? null)).to.deep.equal(["one", "one", "two", "two", null]);
  });

  it("all of it is made again by its events", () => {
    const desk = new Desk();
    keys.addOnce(desk, "worker-0", "e/torch.rendezvous.e.1.0/num_members", 1);
    check.joinCheck(desk, { peer: "worker-0", rank: 0, nproc: 1 });
    check.worldOfCheck(desk, 0, limits({}));
    queueAction(desk, { type: "worker", id: 0 }, "relaunch", "x");
    syncs.joinSync(desk, "s", "worker-0", ["worker-0"]);
    const again = openDlroverRecord();
    for (const event of desk.events) applyDlroverEvent(again, event);
    expect(decodePayload(encodePayload(again))).to.deep.equal(decodePayload(encodePayload(desk.record)));
  });
});
