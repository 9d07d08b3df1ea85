/**
 * A running supervisor: starts its children, ends them in reverse, and does what `supervision.ts` decides in between.
 *
 * - V1  A child ends once a life: what its thread, its failure and its start say of the same end is acted on once.
 * - V2  A restart waits for no other: a child that recovers may need one that has to be restarted meanwhile (its journal).
 *       Who is taken along by a later restart gives up the start that is under way.
 * - V3  A child is started again only after its last life has ended: one port, one writer.
 * - V4  A supervisor that gives up ends its own children first, then escalates. Started again, it has a fresh intensity.
 */

import { BoundaryError } from "../base/errors.js";
import type { ExitReason } from "./actor.js";
import type { Clock } from "./clock.js";
import { type ChildSpec, RestartIntensity, type SupervisorSpec, isRestarted, isSupervisor, takenAlong } from "./supervision.js";

/** What a supervisor needs of the system that it is part of. */
export interface SupervisorSystem {
  readonly clock: Clock;
  random(): number;
  /** Rejects when the actor does not start, and when it is stopped meanwhile. */
  startChild(spec: ChildSpec): Promise<void>;
  stopChild(spec: ChildSpec): Promise<void>;
  /** Asks to it are settled; messages to it wait if it is coming back. */
  loseChild(spec: ChildSpec, reason: ExitReason, isComingBack: boolean): void;
  restarted(supervisor: SupervisorSpec, child: string, reason: ExitReason, restarts: number): void;
}

type Child = {
  readonly spec: ChildSpec | SupervisorSpec;
  readonly nested: Supervisor | null;
  phase: "absent" | "starting" | "running";
  /** Counts starts: whoever finds another number here than he began with was overtaken (V2). */
  life: number;
  /** It ended before its start was known to be done. */
  endedAs: ExitReason | null;
  halting: Promise<void> | null;
  restarts: number;
};

const shutdown: ExitReason = { kind: "shutdown" };

export class Supervisor {
  readonly spec: SupervisorSpec;
  readonly #system: SupervisorSystem;
  readonly #escalate: (reason: ExitReason) => void;
  readonly #children = new Map<string, Child>();
  #intensity: RestartIntensity;
  readonly #waits = new Set<() => void>();
  #stopping: Promise<void> | null = null;

  constructor(spec: SupervisorSpec, system: SupervisorSystem, escalate: (reason: ExitReason) => void) {
    this.spec = spec;
    this.#system = system;
    this.#escalate = escalate;
    this.#intensity = new RestartIntensity(spec);
    for (const child of spec.children) {
      const nested = isSupervisor(child) ? new Supervisor(child, system, (reason) => this.childrenEnded([child.id], reason)) : null;
      const fresh = { phase: "absent", life: 0, endedAs: null, halting: null, restarts: 0 } as const;
      if (this.#children.has(child.id)) throw new BoundaryError("DUPLICATE_ACTOR", `${spec.id} has two children named ${child.id}`);
      this.#children.set(child.id, { spec: child, nested, ...fresh });
    }
  }

  /** Every actor in this subtree, with the supervisor that it is a child of. */
  *actors(): Generator<[actor: ChildSpec, parent: Supervisor]> {
    for (const { spec, nested } of this.#children.values()) {
      if (nested) yield* nested.actors();
      else if (!isSupervisor(spec)) yield [spec, this];
    }
  }

  restartsOf(actor: string): number {
    return this.#children.get(actor)?.restarts ?? 0;
  }

  /** Starts all children, each as soon as the one before it is on its way (their messages wait until they are there). */
  async start(): Promise<void> {
    this.#stopping = null;
    this.#intensity = new RestartIntensity(this.spec); // V4
    try {
      await Promise.all([...this.#children.values()].map((child) => this.#startChild(child, ++child.life)));
    } catch (thrown) {
      await this.stop();
      throw thrown;
    }
  }

  /** Ends all children, last first; also those that are just being started. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stopAll();
    return this.#stopping;
  }

  async #stopAll(): Promise<void> {
    for (const wake of this.#waits) wake();
    for (const child of [...this.#children.values()].reverse()) {
      child.life++;
      await this.#halt(child);
    }
  }

  /** Children ended by themselves, in whatever way: one of them, or all that shared a thread. They are one restart. */
  childrenEnded(ids: readonly string[], reason: ExitReason): void {
    if (this.#stopping) return;
    const back = ids.flatMap((id) => {
      const child = this.#children.get(id);
      if (!child) return [];
      if (child.phase === "starting") child.endedAs = reason; // V1: its start tells.
      if (child.phase !== "running") return [];
      child.phase = "absent";
      const isComingBack = isRestarted(restartOf(child), reason); // S1
      if (!isSupervisor(child.spec)) this.#system.loseChild(child.spec, reason, isComingBack);
      return isComingBack ? [child] : [];
    });
    if (back.length > 0) this.#restart(back, reason);
  }

  #restart(failed: readonly Child[], reason: ExitReason): void {
    const waitMs = this.#charge(failed[0]?.spec.id ?? this.spec.id, reason);
    if (waitMs === null) return;
    const order = [...this.#children.keys()];
    const ids = new Set(failed.flatMap(({ spec }) => takenAlong(this.spec.strategy, order, spec.id))); // S2
    const taken = [...this.#children.values()].filter(({ spec }) => ids.has(spec.id));
    const lives = taken.map((child) => ({ child, life: ++child.life })); // V2
    this.#again(lives, failed, waitMs, reason).catch((thrown: unknown) => this.#giveUp(String(thrown)));
  }

  async #again(lives: readonly { child: Child; life: number }[], failed: readonly Child[], waitMs: number, reason: ExitReason): Promise<void> {
    for (const { child } of lives) {
      const isComingBack = failed.includes(child) || restartOf(child) !== "temporary";
      if (child.phase !== "absent" && !isSupervisor(child.spec)) this.#system.loseChild(child.spec, shutdown, isComingBack);
    }
    for (const { child } of [...lives].reverse()) await this.#halt(child);
    await this.#wait(waitMs);
    const wanted = lives.filter(({ child }) => failed.includes(child) || restartOf(child) !== "temporary");
    await Promise.all(wanted.map(({ child, life }) => this.#bringUp(child, life, reason)));
  }

  /** Starts the child until it runs, the supervisor gives up, or a later restart takes over. */
  async #bringUp(child: Child, life: number, reason: ExitReason): Promise<void> {
    while (!this.#stopping && child.life === life) {
      try {
        await this.#startChild(child, life);
        if (!this.#isOvertaken(child, life)) this.#system.restarted(this.spec, child.spec.id, reason, ++child.restarts);
        return;
      } catch (thrown) {
        if (this.#isOvertaken(child, life)) return;
        const why: ExitReason = { kind: "error", message: `it did not start: ${thrown instanceof Error ? thrown.message : String(thrown)}` };
        const waitMs = this.#charge(child.spec.id, why);
        if (waitMs === null) return;
        await this.#wait(waitMs);
      }
    }
  }

  async #startChild(child: Child, life: number): Promise<void> {
    await child.halting; // V3
    if (this.#isOvertaken(child, life)) return;
    child.phase = "starting";
    child.endedAs = null;
    try {
      if (child.nested) await child.nested.start();
      else if (!isSupervisor(child.spec)) await this.#system.startChild(child.spec);
    } catch (thrown) {
      if (child.life === life) child.phase = "absent";
      throw thrown;
    }
    if (this.#isOvertaken(child, life)) return; // Who took over has halted it.
    child.phase = "running";
    const reason = endOf(child);
    if (reason) queueMicrotask(() => this.childrenEnded([child.spec.id], reason));
  }

  #isOvertaken(child: Child, life: number): boolean {
    return this.#stopping !== null || child.life !== life;
  }

  /** Ends a child that runs or is being started. */
  #halt(child: Child): Promise<void> {
    if (child.halting) return child.halting;
    if (child.phase === "absent") return Promise.resolve();
    child.phase = "absent";
    const stopped = child.nested ? child.nested.stop() : isSupervisor(child.spec) ? Promise.resolve() : this.#system.stopChild(child.spec);
    child.halting = stopped.finally(() => (child.halting = null));
    return child.halting;
  }

  /** Milliseconds to wait before this restart; null when it is one too many (S3). */
  #charge(child: string, reason: ExitReason): number | null {
    const waitMs = this.#intensity.charge(this.#system.clock.now(), this.#system.random());
    if (waitMs === null) this.#giveUp(`${child} ended too often, last: ${"message" in reason ? reason.message : reason.kind}`);
    return waitMs;
  }

  #wait(ms: number): Promise<void> {
    if (ms <= 0) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = (): void => {
        this.#waits.delete(wake);
        end();
        resolve();
      };
      const end = this.#system.clock.setTimer(ms, wake);
      this.#waits.add(wake);
    });
  }

  /** V4. */
  #giveUp(message: string): void {
    if (this.#stopping) return;
    const reason: ExitReason = { kind: "restart-intensity", message: `${this.spec.id}: ${message}` };
    for (const { spec, phase } of this.#children.values()) {
      if (phase !== "absent" && !isSupervisor(spec)) this.#system.loseChild(spec, reason, true);
    }
    void this.stop().finally(() => this.#escalate(reason));
  }
}

/** What was said of its end while it started. */
function endOf({ endedAs }: Child): ExitReason | null {
  return endedAs;
}

function restartOf({ spec }: Child): "permanent" | "transient" | "temporary" {
  return isSupervisor(spec) ? "permanent" : (spec.restart ?? "permanent");
}
