/**
 * A training job inside one's own program: a master in this process, with its eight components in threads of their own.
 *
 * No global state, nothing printed, no signal handler taken. `close` ends the master; training goes on under its agents and is taken up by
 * the next `startJob` with the same name and home. To end the job itself, `stop` it.
 */

import { mkdirSync } from "node:fs";
import { masterOrchestrator, masterService } from "../actors/protocol/refs.js";
import type { JobView } from "../actors/protocol/master-orchestrator.js";
import type { JobSpec } from "../src/job/job-spec.js";
import { type JobInput, resolveSpec } from "../src/job/resolve-spec.js";
import { droverHome, jobDirOf, jobFiles, readJson, writeJson } from "../src/launch/job-folder.js";
import type { AnyDefinition, LogLine } from "../src/runtime/cell-host.js";
import { ActorSystem, type SystemInspection } from "../src/runtime/actor-system.js";
import type { Placement } from "../src/runtime/supervision.js";
import type { HistoryEvent } from "../src/store/journal-messages.js";
import { JournalReader } from "../src/store/journal-reader.js";
import { componentPlaces, componentTree, stateBackendRef } from "./components.js";
import type { InheritedSocket } from "../src/launch/held-port.js";
import { rootGuardianOf } from "./root-guardian.js";

/** Asked of a component that is restarted meanwhile, it is asked again; none of these does anything more the second time. */
const twice = { isIdempotent: true };

export type StartJobOptions = Readonly<{
  /** Where jobs keep their state. Default: `$DROVER_HOME`, else as docs/cli.md says. */
  home?: string;
  /** Where the REST API listens. Default 127.0.0.1 and the port it had before, else a free one. */
  host?: string;
  port?: number;
  /** A socket that listens there already. Default: none. */
  socket?: InheritedSocket | null;
  /** Lines of the log. Default: dropped. */
  log?: (line: LogLine) => void;
  /** Default `thread`. `inline` runs all components in the caller's thread. */
  placement?: Placement;
  /** How often this master was started before, for its status. Default 0. */
  restarts?: number;
  /** Begin again what failed or was stopped: events, rounds and what was done of datasets go on. Default: an ended job stays so. */
  isTakenUp?: boolean;
  /** A system whose threads wait already, of which this job becomes the owner. Default: a new one. */
  prepared?: MasterSystem;
  /** Called once when it is decided that the job ends. */
  onEnding?: () => void;
}>;

/** The actor system of a master. Its threads can be made ready before it is known for which job. */
export class MasterSystem {
  log: (line: LogLine) => void = () => undefined;
  readonly system = new ActorSystem({ journal: stateBackendRef, log: (line) => this.log(line) });

  prepare(): void {
    this.system.prepare(componentPlaces);
  }
}

/** A job that runs. */
export interface Job {
  readonly name: string;
  /** `host:port` of the REST API. */
  readonly address: string;
  /** Settles when the job has ended; rejects when the master failed for good (the job itself may be taken up again). */
  readonly ended: Promise<JobView>;
  view(): Promise<JobView>;
  /** Every event of the job from its beginning (or behind `afterCommitSeq`), until the job has ended or the job is closed. */
  events(afterCommitSeq?: number): AsyncGenerator<HistoryEvent, void, undefined>;
  /** Ends the job: SIGTERM to its ranks, the grace time of its spec, SIGKILL. */
  stop(because?: string): Promise<void>;
  /** Actors, mailboxes, restarts. */
  inspect(): Promise<SystemInspection>;
  close(): Promise<void>;
}

/**
 * Starts a job, or takes up the one of that name.
 *
 * @throws BoundaryError BAD_JOB_SPEC; what opening the state file throws (docs/errors.md)
 */
export async function startJob(input: JobInput, options: StartJobOptions = {}): Promise<Job> {
  const jobDir = jobDirOf(options.home ?? droverHome(process.env), input.name);
  const spec = (readJson(jobFiles(jobDir).spec) as JobSpec | null) ?? resolveSpec(input, jobFiles(jobDir).logs);
  mkdirSync(jobDir, { recursive: true, mode: 0o700 });
  writeJson(jobFiles(jobDir).spec, spec);
  return openJob(spec, jobDir, options);
}

/** Runs the master of the job in `jobDir`. */
export async function openJob(spec: JobSpec, jobDir: string, options: StartJobOptions = {}): Promise<Job> {
  const { log, host = "127.0.0.1", port = 0, socket = null, restarts = 0, placement = "thread", prepared = new MasterSystem() } = options;
  const { system } = prepared;
  if (log) prepared.log = log;
  try {
    const definition = rootGuardianOf(() => system.inspect()) as AnyDefinition;
    await system.spawn({ id: "root-guardian", definition });
    await system.supervise(componentTree({ spec, jobDir, host, port, socket, restarts, placement }));
    const address = await system.ask(masterService, { type: "get-address" }, twice);
    if (options.isTakenUp === true) await system.ask(masterOrchestrator, { type: "take-up-job" }, twice); // A refusal: it has not ended.
    return new RunningJob(spec, jobDir, system, `${address.host}:${address.port}`, options.onEnding);
  } catch (thrown) {
    await system.close();
    throw thrown;
  }
}

class RunningJob implements Job {
  readonly name: string;
  readonly address: string;
  readonly ended: Promise<JobView>;
  readonly #statePath: string;
  readonly #system: ActorSystem;
  readonly #closing = new AbortController();

  constructor(spec: JobSpec, jobDir: string, system: ActorSystem, address: string, onEnding: () => void = () => undefined) {
    this.name = spec.name;
    this.address = address;
    this.#statePath = jobFiles(jobDir).state;
    this.#system = system;
    this.ended = this.#watch(onEnding);
    this.ended.catch(() => undefined); // Whoever asks for it sees the rejection; who does not is not ended by it.
  }

  view(): Promise<JobView> {
    return this.#system.ask(masterOrchestrator, { type: "get-job" }, twice);
  }

  async *events(afterCommitSeq = 0): AsyncGenerator<HistoryEvent, void, undefined> {
    const stop = new AbortController();
    const end = (): void => stop.abort();
    this.#closing.signal.addEventListener("abort", end);
    this.ended.then(end, end);
    let last = afterCommitSeq;
    for await (const event of this.#follow({ afterCommitSeq, signal: stop.signal })) {
      last = event.commitSeq;
      yield event;
    }
    if (!this.#closing.signal.aborted) yield* this.#rest(last); // What was written while the end was being noticed.
  }

  #rest(afterCommitSeq: number): HistoryEvent[] {
    const reader = new JournalReader(this.#statePath);
    try {
      return reader.read({ order: "oldest-first", afterCommitSeq });
    } finally {
      reader.close();
    }
  }

  async *#follow(options: { afterCommitSeq: number; signal: AbortSignal; actor?: string }): AsyncGenerator<HistoryEvent, void, undefined> {
    const reader = new JournalReader(this.#statePath);
    try {
      yield* reader.follow({ pollMs: 50, ...options });
    } finally {
      reader.close();
    }
  }

  /** The end of the job, found by asking after each event of the one that decides it. What was before is of an earlier attempt, or of an earlier master. */
  async #watch(onEnding: () => void): Promise<JobView> {
    const failed = this.#system.ended.then((reason) => {
      this.#closing.abort();
      throw new Error(`the master ended: ${"message" in reason ? reason.message : reason.kind}`);
    });
    const decided = (async (): Promise<JobView> => {
      const afterCommitSeq = this.#head();
      const begun = await this.view();
      if (begun.endedAtMs !== null) return begun;
      for await (const event of this.#follow({ afterCommitSeq, signal: this.#closing.signal, actor: masterOrchestrator.id })) {
        if (event.type === "end-decided") onEnding();
        const view = await this.view();
        if (view.endedAtMs !== null) return view;
      }
      return failed;
    })();
    return Promise.race([decided, failed]);
  }

  #head(): number {
    const reader = new JournalReader(this.#statePath);
    try {
      return reader.headCommitSeq();
    } finally {
      reader.close();
    }
  }

  async stop(because = "stopped by the embedding program"): Promise<void> {
    await this.#system.ask(masterOrchestrator, { type: "stop-job", because, isKill: false }, twice);
  }

  inspect(): Promise<SystemInspection> {
    return this.#system.inspect();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#system.close();
  }
}
