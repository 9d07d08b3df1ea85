/** Nodes of DLRover's that check their network while the master is killed again and again: stock agents under a virtual clock. */

import { expect } from "chai";
import { SimRandom } from "../../src/sim/sim-random.js";
import { PeersMaster, play, type PlayRanks } from "./peers-master.js";
import { StockAgent, type StockEnd } from "./stock-agent.js";

/** How long the ranks of a check wait for each other before they fail. */
const checkMaxMs = 300_000;
const longestMs = 30 * 60_000;

/** The ranks of a group wait for each other, and fail where one of them is bad. */
class CheckRanks {
  readonly #master: PeersMaster;
  readonly #random: SimRandom;
  readonly #bad: ReadonlySet<number>;
  readonly #groups = new Map<string, (() => void)[]>();
  /** Ranks that waited in vain, for they were told other groups. */
  left = 0;

  constructor(master: PeersMaster, random: SimRandom, bad: ReadonlySet<number>) {
    this.#master = master;
    this.#random = random;
    this.#bad = bad;
  }

  readonly play: PlayRanks = (_agent, { of, world }, go) => {
    if (of === "training") return; // What comes after the check is not looked at here.
    const key = JSON.stringify(world);
    const here = this.#groups.get(key) ?? [];
    this.#groups.set(key, here);
    let isOver = false;
    const end = (hasPassed: boolean): void => {
      if (!isOver) go(hasPassed ? "succeeded" : "failed");
      isOver = true;
    };
    const hasPassed = !world.world.some(([member]) => this.#bad.has(member));
    here.push(() => void this.#master.clock.setTimer(this.#random.between(5_000, 9_000), () => end(hasPassed)));
    if (here.length === world.world.length) for (const begin of here) begin();
    this.#master.clock.setTimer(checkMaxMs, () => {
      if (!isOver) this.left += 1;
      end(false);
    });
  };
}

export type CheckReport = Readonly<{ seed: number; lost: number; tookMs: number }>;

/**
 * One of four or six nodes is bad, or none of three to six: whose fault it is is found out, and all others begin in one world. An odd number of nodes has a
 * group of three; where that fails, two rounds cannot tell for certain whose fault it is, in DLRover no more than here.
 */
export function simulateCheck(seed: number): CheckReport {
  const random = new SimRandom(seed);
  const hasBad = random.chance(0.7);
  const count = hasBad ? random.pick([4, 6]) : random.between(3, 6);
  const bad = new Set(hasBad ? [random.between(0, count - 1)] : []);
  const master = new PeersMaster(random);
  const { clock } = master;
  const ranks = new CheckRanks(master, random, bad);
  const beganMs = clock.now();
  const ends = new Map<number, StockEnd>();
  const worlds = new Map<number, readonly number[]>();
  const look: PlayRanks = (agent, step, go) => {
    if (step.of === "training") worlds.set(agent.rank, step.world.world.map(([rank]) => rank));
    ranks.play(agent, step, go);
  };
  for (let rank = 0; rank < count; rank++) {
    const agent = new StockAgent(rank, { min: count - bad.size, max: count, checksNetwork: true }, () => clock.now());
    clock.setTimer(random.between(0, 1_500), () => play(master, agent, look, (end) => void ends.set(rank, end)));
  }
  master.killAgainAndAgain(2_000); // By then all are known.
  while (ends.size + worlds.size < count && clock.runNext(beganMs + longestMs));
  expect(ranks.left, "ranks that waited for each other in vain").to.equal(0);
  expect([...ends], "who has ended").to.deep.equal([...bad].map((rank) => [rank, "CheckFailure"]));
  const good = Array.from({ length: count }, (_, rank) => rank).filter((rank) => !bad.has(rank));
  expect(worlds.size, "who trains").to.equal(good.length);
  for (const world of worlds.values()) expect(world).to.deep.equal(good);
  return { seed, lost: master.lost, tookMs: clock.now() - beganMs };
}
