/**
 * What an agent of DLRover 0.6.1 does from its start to its end, as far as a master can tell: written from the sequences of the specification
 * (wire/DLROVER.md, 3.1, 3.2, 4.1 to 4.4), with its intervals. A simulation steps it.
 */

import type { DlroverAnswer, DlroverRequest, RendezvousName } from "../../src/job/dlrover/dlrover-request.js";
import { unpackWorld, type World } from "../../src/job/dlrover/packed-world.js";

/** How the ranks of this node are doing, or how they ended. */
export type Ranks = "healthy" | "succeeded" | "failed";

/** What the agent waits for: a time, an answer, or what its ranks do, those of a check to their end, those of the training for one look. */
export type Step = Readonly<{ sleepMs: number }> | Readonly<{ ask: DlroverRequest }> | Readonly<{ of: "check" | "training"; world: World; start: number }>;

/** Why it is over. */
export type StockEnd = "Succeeded" | "Failed" | "CheckFailure" | "JoinTimeout" | "Stopping";
type Act<Result> = Generator<Step, Result, unknown>;

export type StockOptions = Readonly<{ min: number; max: number; checksNetwork: boolean }>;

const secondMs = 1_000;
const common = { lastCallSeconds: 3, joinTimeoutSeconds: 600, unit: 1 };
/** Of the answer to a request for a world, and for keys. */
const [worldWaitMs, keysWaitMs] = [10 * secondMs, 5 * secondMs];
/** Between two looks at a rendezvous; before the second round of a check; before a check that others wait for; between two looks at a key. */
const [pollMs, pauseMs, leaveMs, keyMs] = [5 * secondMs, 5 * secondMs, 15 * secondMs, 2 * secondMs];
/** Between two looks at the ranks; it is a tenth of that in truth. */
const monitorMs = secondMs;
/** A key is waited for this long: the address of a world's store; the last member of the barrier at the end. */
const keyMaxMs = 300 * secondMs;
/** So few cannot find out whose fault it is: the first round decides. */
const tooFewToTell = 3;

export class StockAgent {
  readonly rank: number;
  readonly #options: StockOptions;
  readonly #now: () => number;
  #failovers = 3;
  #starts = 0;
  /** Killed with -9: it says nothing any more. */
  isDead = false;
  /** Waits for keys that came to nothing. */
  timeouts = 0;

  constructor(rank: number, options: StockOptions, now: () => number) {
    this.rank = rank;
    this.#options = options;
    this.#now = now;
  }

  *run(): Act<StockEnd> {
    yield* this.#tell("WAIT_PRE_CHECK", 0);
    for (;;) {
      const world = yield* this.#start();
      if (typeof world === "string") return world;
      const end = yield* this.#train(world);
      if (end !== "again") return end;
    }
  }

  /** To a world of ranks. */
  *#start(): Act<World | StockEnd> {
    for (;;) {
      const failure = this.#options.checksNetwork ? yield* this.#checkNetwork() : null;
      if (failure) return failure;
      const world = yield* this.#rendezvous("elastic-training");
      if (world !== "OutOfSync") return world;
      yield { sleepMs: leaveMs };
    }
  }

  *#train(world: World): Act<StockEnd | "again"> {
    const start = ++this.#starts;
    for (;;) {
      yield { sleepMs: monitorMs };
      const state = (yield { of: "training", world, start }) as Ranks;
      if (state === "succeeded") {
        yield* this.#leaveTogether(world);
        yield* this.#tell("SUCCEEDED_EXITED", 0);
        return "Succeeded";
      }
      if (state === "failed") {
        const errorText = JSON.stringify({ [this.rank]: { local_rank: 0, exitcode: 1, message: "E", datetime: "" } });
        yield* ask({ type: "node-failure", errorText, restartCount: start, level: "process_error" });
        if (this.#failovers-- > 0) return "again";
        yield* this.#tell("FAILED_EXITED", 0);
        return "Failed";
      }
      const rendezvous = this.#options.checksNetwork ? "network-check" : "elastic-training";
      if ((yield* ask({ type: "count-waiting", rendezvous })).count > 0) return "again";
    }
  }

  /** torchelastic's barrier at the end: who comes last lets all go. */
  *#leaveTogether(world: World): Act<void> {
    const prefix = `${prefixOf("elastic-training", world)}/torchelastic/agent/terminal_state`;
    const { value } = yield* ask({ type: "add-key", key: `${prefix}/num_members`, value: 1 });
    if (value === world.world.length) yield* ask({ type: "set-keys", pairs: [[`${prefix}/last_member`, "x"]] });
    yield* this.#awaitKey(`${prefix}/last_member`);
  }

  *#awaitKey(key: string): Act<void> {
    const sinceMs = this.#now();
    for (;;) {
      const { values } = yield* ask({ type: "get-keys", keys: [key], waitMs: keysWaitMs });
      if (values[0] !== null) return;
      if (this.#now() - sinceMs > keyMaxMs) return void (this.timeouts += 1);
      yield { sleepMs: keyMs };
    }
  }

  *#checkNetwork(): Act<"CheckFailure" | "JoinTimeout" | "Stopping" | null> {
    let [hasPassed, faults]: [boolean, readonly number[]] = [false, []];
    for (let round = 0; round < 2; round++) {
      const world = yield* this.#rendezvous("network-check");
      if (world === "OutOfSync") throw new Error("a check has nothing to be out of step with");
      if (typeof world === "string") return world;
      const beganMs = this.#now();
      const ended = (yield { of: "check", world, start: 0 }) as Ranks;
      hasPassed ||= ended === "succeeded";
      yield* this.#tell(hasPassed ? "NODE_CHECK_SUCCEEDED" : "NODE_CHECK_FAILED", hasPassed ? (this.#now() - beganMs) / secondMs : 3_600);
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
    const { min, max } = this.#options;
    yield* ask({ type: "set-rendezvous", min, max, ...common });
    let sinceMs = this.#now();
    yield* ask({ type: "join-rendezvous", rendezvous, nodeId: rank, rank, nproc: 1, address: "127.0.0.1" });
    for (;;) {
      const { count } = yield* ask({ type: "count-waiting", rendezvous: "network-check" });
      if (count < 0) return "Stopping";
      if (count > 0 && rendezvous === "elastic-training") return "OutOfSync";
      const world = unpackWorld(yield* ask({ type: "get-world", rendezvous, rank, waitMs: worldWaitMs }));
      if (world.world.some(([member]) => member === rank)) {
        yield* this.#meet(rendezvous, world);
        return world;
      }
      if (world.world.length > 0) sinceMs = this.#now();
      else if (this.#now() - sinceMs > common.joinTimeoutSeconds * secondMs) return "JoinTimeout";
      yield { sleepMs: pollMs };
    }
  }

  /** The first of a world says where its store is. */
  *#meet(rendezvous: RendezvousName, world: World): Act<void> {
    const key = `${prefixOf(rendezvous, world)}/MASTER_ADDR`;
    if (world.world[0]?.[0] === this.rank) yield* ask({ type: "set-keys", pairs: [[key, "127.0.0.1"]] });
    else yield* this.#awaitKey(key);
  }

  *#tell(event: string, elapsedSeconds: number): Act<void> {
    const { rank } = this;
    yield* ask({ type: "node-event", event, message: "", elapsedSeconds, node: { type: "worker", id: rank, rank, address: "127.0.0.1" } });
  }
}

function prefixOf(rendezvous: RendezvousName, { round, group }: World): string {
  return `${rendezvous}/torch.rendezvous.${rendezvous}.${round}.${group}`;
}

function* ask<Request extends DlroverRequest>(request: Request): Act<DlroverAnswer<Request["type"]>> {
  return (yield { ask: request }) as DlroverAnswer<Request["type"]>;
}
