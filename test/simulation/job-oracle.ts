/** What must be true of a job at every moment, judged from durable events and from what agents are told. */

import type { MasterOrchestratorEvent } from "../../actors/master-orchestrator.js";
import type { Assignment, NodeDesired } from "../../src/job/assignment.js";
import type { JobEvent } from "../../src/job/job-event.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import { isFinal } from "../../src/job/lifecycle.js";
import type { EndReason, Stage } from "../../src/job/stage.js";
import { must } from "./shard-oracle.js";

type Sealed = Extract<JobEvent, { type: "round-sealed" }>;

export class JobOracle {
  readonly #spec: JobSpec;
  readonly #lines: string[] = [];
  readonly #sealed = new Map<number, Sealed>();
  readonly #revisions = new Map<string, number>();
  readonly #rounds = new Map<string, number>();
  readonly #nowMs: () => number;
  /** Nodes that the Job Manager has given up. */
  readonly ended = new Set<string>();
  #round = 0;
  restarts = 0;
  relaunches = 0;
  pauses = 0;
  stage: Stage = "created";
  reason: EndReason | null = null;
  /** How many processes of the job live; asked at the end. */
  processes: () => number = () => 0;
  isTrained: () => boolean = () => false;

  constructor(spec: JobSpec, nowMs: () => number) {
    this.#spec = spec;
    this.#nowMs = nowMs;
  }

  /** The last things that happened, for who reads a failure. */
  get story(): string {
    return this.#lines.slice(-80).join("\n");
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  note(text: string): void {
    this.#lines.push(`${this.#nowMs() % 1_000_000} ${text}`);
  }

  hear(actor: string, event: Readonly<{ type: string }>): void {
    this.note(`${actor} ${JSON.stringify(event).slice(0, 400)}`);
    if (actor === "job-manager") this.#hearJobManager(event as JobEvent);
    if (actor === "master-orchestrator") this.#hearOrchestrator(event as MasterOrchestratorEvent);
  }

  /** An agent was told what its node should be. */
  desired(node: string, { revision, phase, round, assignment }: NodeDesired): void {
    const before = this.#revisions.get(node) ?? -1;
    must(revision >= before, `${node} was told revision ${revision} after ${before}`);
    must(
      round >= (this.#rounds.get(node) ?? 0),
      `${node} was told of round ${round} after ${this.#rounds.get(node) ?? 0}`,
    );
    this.#revisions.set(node, revision);
    this.#rounds.set(node, round);
    if (phase === "run" && assignment !== null) this.#mustMatch(node, assignment);
  }

  #mustMatch(node: string, assignment: Assignment): void {
    const sealed = this.#sealed.get(assignment.round);
    if (sealed === undefined) throw new Error(`${node} runs round ${assignment.round}, and its seal is not durable`);
    const member = sealed.members.find((one) => one.node === node);
    must(
      member?.groupRank === assignment.groupRank &&
        member.firstRank === assignment.firstRank &&
        member.nproc === assignment.nproc &&
        sealed.worldSize === assignment.worldSize &&
        sealed.members.length === assignment.groupWorldSize &&
        sealed.masterPort === assignment.masterPort &&
        sealed.masterAddr === assignment.masterAddr,
      `${node} was told another world than was sealed: ${JSON.stringify(assignment)} ${JSON.stringify(sealed)}`,
    );
  }

  #hearJobManager(event: JobEvent): void {
    const { budget } = this.#spec;
    switch (event.type) {
      case "round-opened":
        must(event.round > this.#round, `round ${event.round} is opened after round ${this.#round}`);
        this.#round = event.round;
        if (event.isCharged) this.restarts += 1;
        return must(
          this.restarts <= budget.maxRestarts,
          `${this.restarts} restarts of ${budget.maxRestarts} are spent`,
        );
      case "round-sealed":
        this.#mustBeWorld(event);
        this.#sealed.set(event.round, event);
        return;
      case "node-ended":
      case "node-emptied":
        if (event.type === "node-ended") this.ended.add(event.node);
        if (event.type === "node-ended" ? event.replacement !== null : event.isCharged) this.relaunches += 1;
        return must(
          this.relaunches <= budget.maxRelaunches,
          `${this.relaunches} relaunches of ${budget.maxRelaunches} are spent`,
        );
      default:
        return;
    }
  }

  #mustBeWorld({ round, members, worldSize }: Sealed): void {
    const { min, max, unit } = this.#spec.roles[0]?.nodes ?? { min: 1, max: 1, unit: 1 };
    const count = members.length;
    must(
      count >= min && count <= max && count % unit === 0,
      `round ${round} has ${count} nodes of ${min} to ${max} in ${unit}s`,
    );
    must(new Set(members.map(({ node }) => node)).size === count, `a node is in round ${round} twice`);
    let firstRank = 0;
    for (const [groupRank, member] of members.entries()) {
      must(member.groupRank === groupRank && member.firstRank === firstRank, `the ranks of round ${round} have gaps`);
      firstRank += member.nproc;
    }
    must(firstRank === worldSize, `round ${round} has ${firstRank} ranks and says ${worldSize}`);
  }

  #hearOrchestrator(event: MasterOrchestratorEvent): void {
    if (event.type === "end-decided") {
      must(this.reason === null, `the end is decided twice: ${this.reason?.code ?? ""} and ${event.reason.code}`);
      this.reason = event.reason;
      must(
        event.reason.code !== "ALL_SUCCEEDED" || this.isTrained(),
        "the job succeeded, and the training is not done",
      );
    }
    if (event.type !== "stage-changed") return;
    must(
      event.from === this.stage && !isFinal(this.stage),
      `from ${event.from} to ${event.to}, and the stage was ${this.stage}`,
    );
    this.stage = event.to;
    if (event.to === "paused") this.pauses += 1;
    if (isFinal(event.to))
      must(this.processes() === 0, `the job is ${event.to}, and ${this.processes()} processes live`);
  }
}
