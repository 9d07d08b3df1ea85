/** A running supervisor: starts its children in order, ends them in reverse, and does what `supervision.ts` decides in between. */

import type { ExitReason } from "./actor.js";
import type { Clock } from "./clock.js";
import { type ChildSpec, RestartIntensity, type SupervisorSpec, isRestarted, isSupervisor, takenAlong } from "./supervision.js";

/** What a supervisor needs of the system that it is part of. */
export interface SupervisorSystem {
  readonly clock: Clock;
  random(): number;
  startChild(spec: ChildSpec): Promise<void>;
  stopChild(spec: ChildSpec): Promise<void>;
  /** Asks to it are settled; messages to it wait if it is coming back. */
  loseChild(spec: ChildSpec, reason: ExitReason, isComingBack: boolean): void;
  restarted(supervisor: SupervisorSpec, child: string, reason: ExitReason, restarts: number): void;
}

type Child = { spec: ChildSpec | SupervisorSpec; nested: Supervisor | null; isRunning: boolean; restarts: number };

export class Supervisor {
  readonly spec: SupervisorSpec;
  readonly #system: SupervisorSystem;
  readonly #escalate: (reason: ExitReason) => void;
  readonly #children: Child[];
  readonly #intensity: RestartIntensity;
  /** Restarts happen one after the other. */
  #work: Promise<void> = Promise.resolve();
  #isEnding = false;

  constructor(spec: SupervisorSpec, system: SupervisorSystem, escalate: (reason: ExitReason) => void) {
    this.spec = spec;
    this.#system = system;
    this.#escalate = escalate;
    this.#intensity = new RestartIntensity(spec);
    this.#children = spec.children.map((child) => ({
      spec: child,
      nested: isSupervisor(child) ? new Supervisor(child, system, (reason) => this.childEnded(child.id, reason)) : null,
      isRunning: false,
      restarts: 0,
    }));
  }

  /** Every actor in this subtree. */
  actors(): ChildSpec[] {
    return this.#children.flatMap(({ spec, nested }) => (nested ? nested.actors() : isSupervisor(spec) ? [] : [spec]));
  }

  /** The supervisor of an actor, if it is in this subtree. */
  parentOf(actor: string): Supervisor | null {
    for (const { spec, nested } of this.#children) {
      if (spec.id === actor && !nested) return this;
      const found = nested?.parentOf(actor);
      if (found) return found;
    }
    return null;
  }

  restartsOf(actor: string): number {
    return this.#children.find(({ spec }) => spec.id === actor)?.restarts ?? 0;
  }

  /** Starts all children, each as soon as the one before it is on its way (their messages wait until they are there). */
  async start(): Promise<void> {
    await Promise.all(this.#children.map((child) => this.#startChild(child)));
  }

  async stop(): Promise<void> {
    this.#isEnding = true;
    await this.#work;
    for (const child of [...this.#children].reverse()) await this.#stopChild(child);
  }

  async #startChild(child: Child): Promise<void> {
    child.isRunning = true;
    if (child.nested) await child.nested.start();
    else if (!isSupervisor(child.spec)) await this.#system.startChild(child.spec);
  }

  async #stopChild(child: Child): Promise<void> {
    if (!child.isRunning) return;
    child.isRunning = false;
    if (child.nested) await child.nested.stop();
    else if (!isSupervisor(child.spec)) await this.#system.stopChild(child.spec);
  }

  /** A child ended by itself, in whatever way. */
  childEnded(id: string, reason: ExitReason): void {
    const child = this.#children.find(({ spec }) => spec.id === id);
    if (!child || this.#isEnding || !child.isRunning) return;
    child.isRunning = false;
    const isComingBack = isRestarted(isSupervisor(child.spec) ? "permanent" : (child.spec.restart ?? "permanent"), reason); // S1
    if (!isSupervisor(child.spec)) this.#system.loseChild(child.spec, reason, isComingBack);
    if (isComingBack) this.#work = this.#work.then(() => this.#restart(child, reason)).catch((thrown: unknown) => this.#giveUp(String(thrown)));
  }

  async #restart(failed: Child, reason: ExitReason): Promise<void> {
    if (this.#isEnding || failed.isRunning) return;
    const waitMs = this.#intensity.charge(this.#system.clock.now(), this.#system.random());
    if (waitMs === null) { this.#giveUp(`${failed.spec.id} ended too often, last: ${"message" in reason ? reason.message : reason.kind}`); return; } // S3
    if (waitMs > 0) await new Promise<void>((resolve) => void this.#system.clock.setTimer(waitMs, resolve));
    const ids = takenAlong(this.spec.strategy, this.#children.map(({ spec }) => spec.id), failed.spec.id); // S2
    const taken = this.#children.filter(({ spec }) => ids.includes(spec.id));
    for (const child of [...taken].reverse()) {
      if (child.isRunning && !isSupervisor(child.spec)) this.#system.loseChild(child.spec, { kind: "shutdown" }, true);
      await this.#stopChild(child);
    }
    for (const child of taken) {
      try {
        await this.#startChild(child);
        child.restarts++;
        this.#system.restarted(this.spec, child.spec.id, reason, child.restarts);
      } catch (thrown) {
        this.childEnded(child.spec.id, { kind: "error", message: `it did not start: ${String(thrown)}` });
      }
    }
  }

  #giveUp(message: string): void {
    if (this.#isEnding) return;
    this.#escalate({ kind: "restart-intensity", message: `${this.spec.id}: ${message}` });
  }
}
