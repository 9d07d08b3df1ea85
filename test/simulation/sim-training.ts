/**
 * Synchronous training as ranks do it: a round makes steps while all of its ranks run, and none otherwise. A rank
 * that dies takes its peers along, or leaves them hanging; a new round goes on from the last checkpoint.
 */

import type { SimSystem } from "../../src/sim/sim-system.js";
import { must } from "./shard-oracle.js";

export type SimRank = {
  readonly token: string;
  readonly node: string;
  readonly rank: number;
  readonly localRank: number;
  readonly round: number;
  readonly pid: number;
  step: number | null;
  end: { exitCode: number | null; signal: string | null; errorText: string; atMs: number } | null;
  onEnd: () => void;
};

type World = { readonly size: number; readonly running: Set<SimRank>; isFrozen: boolean };

const stepMs = 40;
const stepsBetweenCheckpoints = 10;

export class SimTraining {
  readonly target: number;
  readonly #system: SimSystem;
  /** Whether the master has given a node up. */
  readonly #isEnded: (node: string) => boolean;
  readonly #worlds = new Map<number, World>();
  #checkpoint = 0;
  /** Rounds that made a step. */
  readonly rounds = new Set<number>();
  isDone = false;

  constructor(system: SimSystem, target: number, isEnded: (node: string) => boolean) {
    this.#system = system;
    this.#isEnded = isEnded;
    this.target = target;
  }

  begin(rank: SimRank, worldSize: number): void {
    const world = this.#worlds.get(rank.round) ?? { size: worldSize, running: new Set(), isFrozen: false };
    this.#worlds.set(rank.round, world);
    must(world.size === worldSize, `round ${rank.round} has ${world.size} ranks for one and ${worldSize} for another`);
    for (const other of world.running)
      must(other.rank !== rank.rank, `rank ${rank.rank} runs twice in round ${rank.round}`);
    world.running.add(rank);
    if (world.running.size < world.size) return;
    const complete = [...this.#worlds].filter(
      ([, world]) => world.running.size === world.size && !this.#isGivenUp(world),
    );
    must(complete.length <= 1, `rounds ${complete.map(([round]) => round).join(" and ")} run at once`);
    this.#step(rank.round, world, this.#checkpoint);
  }

  /** Ends a rank, if it lives; what that does to its peers comes a little later. */
  end(rank: SimRank, exitCode: number | null, signal: string | null, errorText: string): void {
    if (rank.end !== null) return;
    const { random, clock } = this.#system;
    rank.end = { exitCode, signal, errorText, atMs: clock.now() };
    const world = this.#worlds.get(rank.round);
    world?.running.delete(rank);
    rank.onEnd();
    if (exitCode === 0 || world === undefined) return;
    for (const peer of world.running) {
      if (random.chance(0.3)) continue; // It hangs until it is stopped.
      const closed = "RuntimeError: Connection closed by peer";
      clock.setTimer(random.between(1, 300), () => this.end(peer, 1, null, closed));
    }
    if (world.running.size === 0) this.#worlds.delete(rank.round);
  }

  /**
   * The world that runs makes no step any more, and none of its ranks ends. One that never made a step is not a hang.
   */
  freeze(): void {
    for (const [round, world] of this.#worlds) world.isFrozen ||= this.rounds.has(round);
  }

  /**
   * Nodes that were not heard of for too long are presumed dead, and may live until their launcher has ended them: of
   * a world of which nothing else is left the master cannot know better.
   */
  #isGivenUp({ running }: World): boolean {
    return [...running].every(({ node }) => this.#isEnded(node));
  }

  #step(round: number, world: World, from: number): void {
    this.#system.clock.setTimer(stepMs, () => {
      if (world.running.size < world.size || world.isFrozen) return;
      const step = from + 1;
      this.rounds.add(round);
      for (const rank of world.running) rank.step = step;
      if (step % stepsBetweenCheckpoints === 0) this.#checkpoint = step;
      if (step < this.target) return this.#step(round, world, step);
      this.isDone = true;
      for (const rank of [...world.running]) {
        this.#system.clock.setTimer(this.#system.random.between(0, 200), () => this.end(rank, 0, null, ""));
      }
    });
  }
}
