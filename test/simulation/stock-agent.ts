/**
 * What an agent of DLRover 0.6.1 does from its start until it trains, with `--network-check`, as far as a master can tell: written from the sequences
 * of the specification (wire/DLROVER.md, 3.1, 3.2 and 4.3), with its intervals. A simulation steps it.
 */

import type { DlroverAnswer, DlroverRequest, RendezvousName } from "../../src/job/dlrover/dlrover-request.js";
import { unpackWorld, type World } from "../../src/job/dlrover/packed-world.js";

/** What the agent waits for: a time, an answer, or whether its group has passed the check. */
export type Step = Readonly<{ sleepMs: number }> | Readonly<{ ask: DlroverRequest }> | Readonly<{ check: World }>;

export type StockEnd = Readonly<{ isTraining: true; world: World }> | Readonly<{ isTraining: false; why: "CheckFailure" | "JoinTimeout" | "Stopping" }>;
type Act<Result> = Generator<Step, Result, unknown>;

export const limits = { lastCallSeconds: 3, joinTimeoutSeconds: 600, unit: 1 };
const secondMs = 1_000;
/** Of the answer to a request for a world. */
const worldWaitMs = 10 * secondMs;
/** Between two looks at a rendezvous; before the second round of a check; before a check that others wait for. */
const [pollMs, pauseMs, leaveMs] = [5 * secondMs, 5 * secondMs, 15 * secondMs];
/** So few cannot find out whose fault it is: the first round decides. */
const tooFewToTell = 3;

export class StockAgent {
  readonly rank: number;
  readonly #min: number;
  readonly #max: number;
  readonly #now: () => number;

  constructor(rank: number, nodes: Readonly<{ min: number; max: number }>, now: () => number) {
    this.rank = rank;
    this.#min = nodes.min;
    this.#max = nodes.max;
    this.#now = now;
  }

  *run(): Act<StockEnd> {
    const { rank } = this;
    yield* ask({ type: "node-event", event: "WAIT_PRE_CHECK", message: "", elapsedSeconds: 0, node: { type: "worker", id: rank, rank, address: "127.0.0.1" } });
    for (;;) {
      const failure = yield* this.#checkNetwork();
      if (failure) return { isTraining: false, why: failure };
      const world = yield* this.#rendezvous("elastic-training");
      if (typeof world === "object") return { isTraining: true, world };
      if (world !== "OutOfSync") return { isTraining: false, why: world };
      yield { sleepMs: leaveMs };
    }
  }

  *#checkNetwork(): Act<"CheckFailure" | "JoinTimeout" | "Stopping" | null> {
    let [hasPassed, faults]: [boolean, readonly number[]] = [false, []];
    for (let round = 0; round < 2; round++) {
      const world = yield* this.#rendezvous("network-check");
      if (world === "OutOfSync") throw new Error("a check has nothing to be out of step with");
      if (typeof world === "string") return world;
      const beganMs = this.#now();
      hasPassed = ((yield { check: world }) as boolean) || hasPassed;
      const elapsedSeconds = hasPassed ? (this.#now() - beganMs) / secondMs : 3_600;
      const node = { type: "worker", id: this.rank, rank: this.rank, address: "" };
      yield* ask({ type: "node-event", event: hasPassed ? "NODE_CHECK_SUCCEEDED" : "NODE_CHECK_FAILED", message: "", elapsedSeconds, node });
      faults = yield* this.#judgement("get-network-faults");
      yield* this.#judgement("get-stragglers");
      if (faults.length === 0) return null;
      if ((yield* ask({ type: "list-running" })).nodes.length <= tooFewToTell) return "CheckFailure";
      yield { sleepMs: pauseMs };
    }
    if (!faults.includes(this.rank)) return null;
    yield* ask({ type: "node-failure", errorText: "CheckFailure", restartCount: -1, level: "node_error" });
    return "CheckFailure";
  }

  *#judgement(type: "get-network-faults" | "get-stragglers"): Act<readonly number[]> {
    for (;;) {
      const { nodes, reason } = yield* ask({ type });
      if (reason !== "Waiting node" && reason !== "Not Initialized") return nodes;
      yield { sleepMs: secondMs };
    }
  }

  *#rendezvous(rendezvous: RendezvousName): Act<World | "OutOfSync" | "JoinTimeout" | "Stopping"> {
    const { rank } = this;
    yield* ask({ type: "set-rendezvous", min: this.#min, max: this.#max, ...limits });
    let sinceMs = this.#now();
    yield* ask({ type: "join-rendezvous", rendezvous, nodeId: rank, rank, nproc: 1, address: "127.0.0.1" });
    for (;;) {
      const { count } = yield* ask({ type: "count-waiting", rendezvous: "network-check" });
      if (count < 0) return "Stopping";
      if (count > 0 && rendezvous === "elastic-training") return "OutOfSync";
      const world = unpackWorld(yield* ask({ type: "get-world", rendezvous, rank, waitMs: worldWaitMs }));
      if (world.world.some(([member]) => member === rank)) return world;
      if (world.world.length > 0) sinceMs = this.#now();
      else if (this.#now() - sinceMs > limits.joinTimeoutSeconds * secondMs) return "JoinTimeout";
      yield { sleepMs: pollMs };
    }
  }
}

function* ask<Request extends DlroverRequest>(request: Request): Act<DlroverAnswer<Request["type"]>> {
  return (yield { ask: request }) as DlroverAnswer<Request["type"]>;
}
