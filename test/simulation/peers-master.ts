/**
 * The Job Manager's desk for DLRover's agents, with its rules, under a virtual clock, and a master that is killed.
 *
 * The record of the job is durable. What is lost with the master is lost here: requests to one that is down, held ones, and answers that are on
 * their way. A stock client says them again 5 s later.
 */

import type { AnyDlroverAnswer, DlroverRequest } from "../../src/job/dlrover/dlrover-request.js";
import { PeerDesk, type Replies } from "../../src/job/dlrover/peer-desk.js";
import type { JobEvent } from "../../src/job/job-event.js";
import { applyJobEvent } from "../../src/job/job-history.js";
import { type JobRecord, openRecord } from "../../src/job/job-record.js";
import { beginJob, meetDeadline } from "../../src/job/job-rules.js";
import type { Ledger } from "../../src/job/ledger.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { roundDueAtMs } from "../../src/job/round-rules.js";
import { SimClock } from "../../src/sim/sim-clock.js";
import type { SimRandom } from "../../src/sim/sim-random.js";
import type { Ranks, StockAgent, StockEnd, Step } from "./stock-agent.js";

const retryMs = 5_000;

type Call = { resume: (answer: unknown) => void; agent: StockAgent; request: DlroverRequest; life: number };

/** A master that is killed, for agents whose ranks are their ids. */
export class PeersMaster {
  readonly clock = new SimClock();
  readonly #random: SimRandom;
  readonly job: JobRecord = openRecord();
  readonly #touched = new Set<string>();
  #desk = new PeerDesk<Call>();
  #held = new Set<Call>();
  /** Deadlines that are not to be met any more, of this life. */
  #cancelled = new Set<string>();
  #life = 1;
  #isUp = true;
  lost = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    const entrypoint = { target: "/t.py", python: "/p" };
    const spec = resolveSpec({ name: "j", roles: [{ entrypoint }], cwd: "/", env: {}, agents: { kind: "dlrover", isExternal: true } }, "/logs");
    beginJob(this.#ledger, spec, 0);
  }

  get #ledger(): Ledger {
    const emit = (event: JobEvent): void => {
      applyJobEvent(this.job, event, this.#touched);
      this.#desk.note(event);
    };
    return { job: this.job, nowMs: this.clock.now(), upSinceMs: 0, emit };
  }

  ask(agent: StockAgent, request: DlroverRequest, resume: (answer: unknown) => void): void {
    this.clock.setTimer(this.#random.between(1, 50), () => {
      const call: Call = { resume, agent, request, life: this.#life };
      if (!this.#isUp) return this.#again(call);
      this.#desk.receive(this.#ledger, { type: "worker", id: agent.rank }, request, this.#replies(call));
      this.#endBatch();
    });
  }

  /** What the Job Manager does at the end of a batch, and when a round is due. */
  #endBatch(): void {
    this.#desk.answerHeld(this.#ledger, this.#touched, this.#replies(null));
    this.#touched.clear();
    for (const group of this.job.groups.values()) {
      const dueAtMs = roundDueAtMs(this.#ledger, group);
      if (dueAtMs === null) continue;
      this.clock.setTimer(dueAtMs - this.clock.now(), () => {
        const isDue = (roundDueAtMs(this.#ledger, group) ?? Infinity) <= this.clock.now();
        if (!this.#isUp || !isDue) return;
        meetDeadline(this.#ledger, group);
        this.#endBatch();
      });
    }
  }

  #replies(asking: Call | null): Replies<Call> {
    const [life, cancelled] = [this.#life, this.#cancelled];
    return {
      reply: (answer) => asking && this.#answer(asking, answer),
      deferReply: () => {
        if (!asking) throw new Error("nobody asks");
        this.#held.add(asking);
        return asking;
      },
      answer: (call, answer) => {
        this.#held.delete(call);
        this.#answer(call, answer);
      },
      after: (ms, key, { held }) => {
        cancelled.delete(key);
        this.clock.setTimer(ms, () => {
          if (this.#life !== life || cancelled.has(key)) return;
          this.#desk.meetDeadline(this.#ledger, held, this.#replies(null));
          this.#endBatch();
        });
      },
      cancel: (key) => void cancelled.add(key),
    };
  }

  #answer(call: Call, answer: AnyDlroverAnswer): void {
    this.clock.setTimer(this.#random.between(1, 50), () => (this.#life === call.life ? call.resume(answer) : this.#again(call)));
  }

  #again({ agent, request, resume }: Call): void {
    this.lost += 1;
    this.clock.setTimer(retryMs, () => !agent.isDead && this.ask(agent, request, resume));
  }

  #kill(downMs: number): void {
    this.#life += 1;
    this.#isUp = false;
    for (const call of this.#held) this.#again(call);
    this.#held = new Set();
    this.#cancelled = new Set();
    this.#desk = new PeerDesk();
    this.clock.setTimer(downMs, () => {
      this.#isUp = true;
      this.#endBatch();
    });
  }

  /** Ten times in all, each time once the next one has served for a while. */
  killAgainAndAgain(fromMs: number, times = 10): void {
    let atMs = fromMs;
    for (let time = 0; time < times; time++) {
      atMs += this.#random.between(500, 6_000);
      const downMs = this.#random.between(500, 3_000);
      this.clock.setTimer(atMs, () => this.#kill(downMs));
      atMs += downMs;
    }
  }
}

/** What the ranks of a node do, as the scenario has it. */
export type PlayRanks = (agent: StockAgent, step: Extract<Step, { world: unknown }>, go: (state: Ranks) => void) => void;

/** Steps an agent until it ends. */
export function play(master: PeersMaster, agent: StockAgent, ranks: PlayRanks, done: (end: StockEnd) => void): void {
  const run = agent.run();
  const go = (value: unknown): void => {
    if (agent.isDead) return;
    const next = run.next(value);
    if (next.done === true) return done(next.value);
    const step = next.value;
    if ("sleepMs" in step) master.clock.setTimer(step.sleepMs, () => go(undefined));
    else if ("ask" in step) master.ask(agent, step.ask, go);
    else ranks(agent, step, go);
  };
  go(undefined);
}
