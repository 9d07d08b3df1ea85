/**
 * Nodes of DLRover's that check their network while the master is killed again and again, under a virtual clock: the Job Manager's own desk and rules, and
 * agents as stock ones are (stock-agent.ts).
 *
 * What is lost with the master is lost here: requests to one that is down, held ones, and answers that are on their way. A stock client says them again 5 s later.
 */

import { expect } from "chai";
import type { AnyDlroverAnswer, DlroverRequest } from "../../src/job/dlrover/dlrover-request.js";
import type { World } from "../../src/job/dlrover/packed-world.js";
import { PeerDesk, type Replies } from "../../src/job/dlrover/peer-desk.js";
import type { JobEvent } from "../../src/job/job-event.js";
import { applyJobEvent } from "../../src/job/job-history.js";
import { openRecord } from "../../src/job/job-record.js";
import { beginJob, meetDeadline } from "../../src/job/job-rules.js";
import type { Ledger } from "../../src/job/ledger.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { roundDueAtMs } from "../../src/job/round-rules.js";
import { SimClock } from "../../src/sim/sim-clock.js";
import { SimRandom } from "../../src/sim/sim-random.js";
import { StockAgent, type StockEnd, type Step } from "./stock-agent.js";

const retryMs = 5_000;
const kills = 10;
/** How long ranks of a check wait for each other before they fail. */
const checkMaxMs = 300_000;

type Call = { resume: (answer: unknown) => void; agent: StockAgent; request: DlroverRequest; life: number };

class MasterOfPeers {
  readonly clock = new SimClock();
  readonly #random: SimRandom;
  readonly #job = openRecord();
  readonly #touched = new Set<string>();
  #desk = new PeerDesk<Call>();
  #held = new Set<Call>();
  #life = 1;
  #isUp = true;
  lost = 0;

  constructor(random: SimRandom) {
    this.#random = random;
    const spec = resolveSpec({ name: "j", roles: [{ entrypoint: { target: "/t.py", python: "/p" } }], cwd: "/", env: {}, agents: { kind: "dlrover", isExternal: true } }, "/logs");
    beginJob(this.#ledger, spec, 0);
  }

  get #ledger(): Ledger {
    const emit = (event: JobEvent): void => {
      applyJobEvent(this.#job, event, this.#touched);
      this.#desk.note(event);
    };
    return { job: this.#job, nowMs: this.clock.now(), upSinceMs: 0, emit };
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
    for (const group of this.#job.groups.values()) {
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

  #cancelled = new Set<string>();

  #answer(call: Call, answer: AnyDlroverAnswer): void {
    this.clock.setTimer(this.#random.between(1, 50), () => (this.#life === call.life ? call.resume(answer) : this.#again(call)));
  }

  #again({ agent, request, resume }: Call): void {
    this.lost += 1;
    this.clock.setTimer(retryMs, () => this.ask(agent, request, resume));
  }

  kill(downMs: number): void {
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
}

/** The ranks of each group wait for each other, and fail where one of them is bad, or has been given another group. */
class Checks {
  readonly #clock: SimClock;
  readonly #random: SimRandom;
  readonly #bad: ReadonlySet<number>;
  readonly #groups = new Map<string, Map<number, () => void>>();
  disagreements = 0;

  constructor(clock: SimClock, random: SimRandom, bad: ReadonlySet<number>) {
    this.#clock = clock;
    this.#random = random;
    this.#bad = bad;
  }

  run(rank: number, { round, group, world }: World, resume: (hasPassed: boolean) => void): void {
    const key = `${round}.${group} ${JSON.stringify(world)}`;
    const here = this.#groups.get(key) ?? new Map<number, () => void>();
    this.#groups.set(key, here);
    let isOver = false;
    const end = (hasPassed: boolean): void => {
      if (!isOver) resume(hasPassed);
      isOver = true;
    };
    const hasPassed = !world.some(([member]) => this.#bad.has(member));
    here.set(rank, () => void this.#clock.setTimer(this.#random.between(5_000, 9_000), () => end(hasPassed)));
    if (here.size === world.length) for (const begin of here.values()) begin();
    else {
      this.#clock.setTimer(checkMaxMs, () => {
        if (!isOver) this.disagreements += 1;
        end(false);
      });
    }
  }
}

export type CheckReport = Readonly<{ seed: number; lost: number; tookMs: number }>;

/**
 * One of four or six nodes is bad, or none of three to six: whose fault it is is found out, and all others train in one world. An odd number of nodes has a
 * group of three; where that fails, two rounds cannot tell for certain whose fault it is, in DLRover no more than here.
 */
export function simulateCheck(seed: number): CheckReport {
  const random = new SimRandom(seed);
  const hasBad = random.chance(0.7);
  const count = hasBad ? random.pick([4, 6]) : random.between(3, 6);
  const bad = new Set(hasBad ? [random.between(0, count - 1)] : []);
  const nodes = { min: count - bad.size, max: count };
  const master = new MasterOfPeers(random);
  const { clock } = master;
  const checks = new Checks(clock, random, bad);
  const beganMs = clock.now();
  const ends = new Map<number, StockEnd>();
  for (let rank = 0; rank < count; rank++) {
    const agent = new StockAgent(rank, nodes, () => clock.now());
    const run = agent.run();
    const go = (value: unknown): void => {
      const { value: step, done } = run.next(value);
      if (done === true) return void ends.set(rank, step);
      take(step);
    };
    const take = (step: Step): void => {
      if ("sleepMs" in step) clock.setTimer(step.sleepMs, () => go(undefined));
      else if ("ask" in step) master.ask(agent, step.ask, go);
      else checks.run(rank, step.check, go);
    };
    clock.setTimer(random.between(0, 1_500), () => go(undefined));
  }
  let atMs = 2_000; // By then all are known.
  for (let kill = 0; kill < kills; kill++) {
    atMs += random.between(500, 6_000);
    const downMs = random.between(500, 3_000);
    clock.setTimer(atMs, () => master.kill(downMs));
    atMs += downMs;
  }
  while (ends.size < count && clock.runNext(beganMs + 30 * 60_000));
  const trained = [...ends].flatMap(([rank, end]) => (end.isTraining ? [[rank, end.world] as const] : []));
  expect(ends.size, "all agents have ended or train").to.equal(count);
  expect(checks.disagreements, "members of one group that were told different ones").to.equal(0);
  expect([...ends].filter(([, end]) => !end.isTraining).map(([rank]) => rank), "who has failed").to.deep.equal([...bad]);
  const good = Array.from({ length: count }, (_, rank) => rank).filter((rank) => !bad.has(rank));
  for (const [, { world }] of trained) expect(world.map(([rank]) => rank)).to.deep.equal(good);
  return { seed, lost: master.lost, tookMs: clock.now() - beganMs };
}
