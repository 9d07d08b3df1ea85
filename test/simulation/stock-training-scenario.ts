/** Nodes of DLRover's that train while ranks fail, agents are replaced and the master is killed again and again: stock agents under a virtual clock. */

import { expect } from "chai";
import { SimRandom } from "../../src/sim/sim-random.js";
import { PeersMaster, play, type PlayRanks } from "./peers-master.js";
import { type Ranks, StockAgent, type StockEnd } from "./stock-agent.js";

/** How long a world has to train undisturbed. */
const trainingMs = 20_000;
const longestMs = 30 * 60_000;

type World = { size: number; starts: Map<number, number>; completeAtMs: number; isBroken: boolean };

/** Ranks train when all of their world are there. When one of them is gone, those of the others hang: only the master can tell. */
class TrainingRanks {
  readonly #now: () => number;
  readonly #worlds = new Map<string, World>();
  /** By rank: the world that it is in. */
  readonly #current = new Map<number, World>();
  readonly #failed = new Set<string>();
  /** Ranks that are to fail. */
  readonly #toFail: number[] = [];

  constructor(now: () => number) {
    this.#now = now;
  }

  failSoon(rank: number): void {
    this.#toFail.push(rank);
  }

  /** Some world has trained to its end. */
  get haveEnded(): boolean {
    return [...this.#worlds.values()].some((world) => this.#hasEnded(world));
  }

  /** The node is gone, and its ranks with it. */
  leave(rank: number): void {
    const world = this.#current.get(rank);
    if (world && !this.#hasEnded(world)) world.isBroken = true;
    this.#current.delete(rank);
  }

  #hasEnded({ completeAtMs, isBroken }: World): boolean {
    return !isBroken && this.#now() >= completeAtMs + trainingMs;
  }

  readonly play: PlayRanks = ({ rank }, { world: told, start }, go) => {
    const key = JSON.stringify(told);
    const world = this.#worlds.get(key) ?? { size: told.world.length, starts: new Map<number, number>(), completeAtMs: Infinity, isBroken: false };
    this.#worlds.set(key, world);
    if (this.#current.get(rank) !== world) {
      this.leave(rank);
      this.#current.set(rank, world);
      if (world.starts.has(rank)) world.isBroken = true; // It was in it before: what it then exchanged with the others is over.
      world.starts.set(rank, start);
      if (world.starts.size === world.size) world.completeAtMs = this.#now();
    }
    go(this.#stateOf(rank, start, world));
  };

  #stateOf(rank: number, start: number, world: World): Ranks {
    const id = `${rank}/${start}/${JSON.stringify([...world.starts])}`;
    if (this.#failed.has(id)) return "failed";
    if (this.#hasEnded(world)) return "succeeded";
    const at = this.#toFail.indexOf(rank);
    if (at < 0 || world.isBroken) return "healthy";
    this.#toFail.splice(at, 1);
    this.#failed.add(id);
    world.isBroken = true;
    return "failed";
  }
}

export type TrainingReport = Readonly<{ seed: number; lost: number; tookMs: number; failures: number; replaced: number }>;

/** One to four nodes: ranks fail up to twice, one agent may be killed with its ranks and replaced; all succeed, and nobody waits in vain. */
export function simulateStockTraining(seed: number): TrainingReport {
  const random = new SimRandom(seed);
  const count = random.between(1, 4);
  const master = new PeersMaster(random);
  const { clock } = master;
  const ranks = new TrainingRanks(() => clock.now());
  const beganMs = clock.now();
  const ends = new Map<number, StockEnd>();
  const agents: StockAgent[] = [];
  const current = new Map<number, StockAgent>();
  const begin = (rank: number): void => {
    const agent = new StockAgent(rank, { min: count, max: count, checksNetwork: false }, () => clock.now());
    agents.push(agent);
    current.set(rank, agent);
    play(master, agent, ranks.play, (end) => void ends.set(rank, end));
  };
  for (let rank = 0; rank < count; rank++) clock.setTimer(random.between(0, 5_000), () => begin(rank));
  const failures = random.between(0, 2);
  for (let failure = 0; failure < failures; failure++) clock.setTimer(random.between(8_000, 60_000), () => ranks.failSoon(random.between(0, count - 1)));
  const replaced = random.chance(0.4) ? 1 : 0;
  if (replaced === 1) {
    clock.setTimer(random.between(6_000, 60_000), () => {
      const rank = random.between(0, count - 1);
      const agent = current.get(rank);
      if (!agent || ranks.haveEnded) return; // Who is lost between the end of its ranks and its word of it would have to train again with those that are gone.
      agent.isDead = true;
      ranks.leave(rank);
      clock.setTimer(random.between(1_000, 15_000), () => begin(rank));
    });
  }
  master.killAgainAndAgain(random.between(500, 20_000));
  while (ends.size < count && clock.runNext(beganMs + longestMs));
  expect([...ends.values()], "how the agents ended").to.deep.equal(Array.from({ length: count }, () => "Succeeded"));
  expect(agents.reduce((sum, { timeouts }) => sum + timeouts, 0), "waits in vain").to.equal(0);
  expect(master.job.end?.code, "how the job ended").to.equal("ALL_SUCCEEDED");
  return { seed, lost: master.lost, tookMs: clock.now() - beganMs, failures, replaced };
}
