/**
 * What a supervisor does when a child ends: OTP's rules as plain functions.
 *
 * - S1  Whether a child is started again: permanent always, transient unless its exit was clean, temporary never.
 * - S2  Which children are stopped (last first) and started again (first first): one-for-one the child, rest-for-one it and those
 *       after it, one-for-all all of them. Those that a strategy takes along are started again, transient ones that had ended too;
 *       temporary ones stay away.
 * - S3  More than `intensity` restarts within `periodMs` are too many: the supervisor ends itself with `restart-intensity` (escalates).
 */

import type { ActorRef, ExitReason, Typed } from "./actor.js";
import type { DefinitionPlace } from "./definition.js";

export type Restart = "permanent" | "transient" | "temporary";
export type Strategy = "one-for-one" | "rest-for-one" | "one-for-all";

/** `thread`: a worker thread of its own; `shared`: one of few threads with many actors; `inline`: the caller's thread. */
export type Placement = "thread" | "shared" | "inline";

/** How long a child may take to stop by default, in milliseconds. */
export const shutdownMsDefault = 5_000;

export type ChildSpec = Readonly<{
  /** Unique in the system, 1 to 128 characters: the id of its ref. */
  id: string;
  /** Or where it is: then only the thread that runs the actor loads its module. */
  definition: DefinitionPlace;
  /** Plain data for `init` and `openPort`. */
  options?: unknown;
  /** Default `inline`. */
  placement?: Placement;
  /** Default `permanent`. */
  restart?: Restart;
  /** How long it may take to stop before it is cut off. Default 5,000. */
  shutdownMs?: number;
  /** Heap of its own thread in MiB (`placement: "thread"`). Default 512. */
  heapMiB?: number;
  /** Messages that may wait. Default 65,536. */
  mailboxCapacity?: number;
}>;

export type SupervisorSpec = Readonly<{
  id: string;
  strategy: Strategy;
  /** Restarts allowed within `periodMs`. Default 10 within 10,000. */
  intensity?: number;
  periodMs?: number;
  /** Wait before the n-th restart within the period, doubled each time, with jitter of half. The first is at once. Default 20 up to 1,000. */
  backoffMs?: Readonly<{ first: number; most: number }>;
  children: readonly (ChildSpec | SupervisorSpec)[];
  /** Told of each restart of a child: `{ type: "child-restarted", child, why, restarts }`. */
  notify?: ActorRef<Typed>;
}>;

export function isSupervisor(spec: ChildSpec | SupervisorSpec): spec is SupervisorSpec {
  return "children" in spec;
}

/** S1. */
export function isRestarted(restart: Restart, reason: ExitReason): boolean {
  if (restart === "temporary") return false;
  return restart === "permanent" || (reason.kind !== "normal" && reason.kind !== "shutdown");
}

/** S2: the children to end and start again, in the order of their start. Empty when the child stays away. */
export function takenAlong(strategy: Strategy, children: readonly string[], failed: string): readonly string[] {
  const index = children.indexOf(failed);
  if (index < 0) return [];
  switch (strategy) {
    case "one-for-one":
      return [failed];
    case "rest-for-one":
      return children.slice(index);
    case "one-for-all":
      return children;
  }
}

/** Restarts within a period, and how long the next one waits (S3). */
export class RestartIntensity {
  readonly #intensity: number;
  readonly #periodMs: number;
  readonly #backoffMs: Readonly<{ first: number; most: number }>;
  #atMs: number[] = [];

  constructor(spec: Pick<SupervisorSpec, "intensity" | "periodMs" | "backoffMs">) {
    this.#intensity = spec.intensity ?? 10;
    this.#periodMs = spec.periodMs ?? 10_000;
    this.#backoffMs = spec.backoffMs ?? { first: 20, most: 1_000 };
  }

  /** Counts a restart now. Null: too many; else milliseconds to wait before it. */
  charge(nowMs: number, random: number): number | null {
    this.#atMs = [...this.#atMs.filter((atMs) => nowMs - atMs < this.#periodMs), nowMs];
    const count = this.#atMs.length;
    if (count > this.#intensity) return null;
    if (count === 1) return 0;
    const full = Math.min(this.#backoffMs.most, this.#backoffMs.first * 2 ** (count - 2));
    return full / 2 + (full / 2) * random;
  }
}
