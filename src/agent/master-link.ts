/** What the agent and the master say to each other: the paths, the bodies, and what a refusal means. */

import type { NodeDesired } from "../job/assignment.js";
import type { HostFacts } from "../job/host-facts.js";
import type { Role } from "../job/job-spec.js";
import type { RankProgress, RankReport } from "../job/rank-report.js";
import { type Answer, MasterClient } from "./master-client.js";

const waitMsMax = 20_000;
const refusedPauseMs = 1_000;

export type Registered = Readonly<{ role: Role; nodeRank: number; heartbeatIntervalMs: number }>;

export type LinkOptions = Readonly<{ node: string; agentId: string; masterAddress: string; tokenPath: string; log: (text: string) => void }>;

export type LinkEvents = Readonly<{
  onDesired: (desired: NodeDesired) => void;
  /** The master will not have this agent: STALE_AGENT (another took its place) or UNKNOWN_NODE (the node is no more). */
  onGone: (code: "STALE_AGENT" | "UNKNOWN_NODE", message: string) => void;
}>;

export class MasterLink {
  readonly #client: MasterClient;
  readonly #options: LinkOptions;
  readonly #events: LinkEvents;
  readonly #base: string;
  readonly #registered: Promise<void>;
  #isRegistered: () => void = () => undefined;
  #isOpen = true;
  #isTellingProgress = false;

  constructor(options: LinkOptions, events: LinkEvents) {
    this.#options = options;
    this.#events = events;
    this.#base = `/api/v1/agents/${encodeURIComponent(options.node)}`;
    this.#registered = new Promise((resolve) => (this.#isRegistered = resolve));
    this.#client = new MasterClient(options.masterAddress, options.tokenPath, options.agentId, (isReachable, because) =>
      options.log(isReachable ? "the master is back" : `the master is away: ${because}`),
    );
  }

  get localAddress(): string {
    return this.#client.localAddress;
  }

  get isReachable(): boolean {
    return this.#client.isReachable;
  }

  /** Null if the master will not have this agent. Reports wait until this is through. */
  async register(facts: HostFacts, ranks: readonly RankReport[]): Promise<Registered | null> {
    while (this.#isOpen) {
      const answer = await this.#post("register", () => ({ agentPid: process.pid, facts: { ...facts, clockMs: Date.now() }, ranks }));
      if (answer?.ok !== true) continue; // Refused for now: `#refused` has waited.
      this.#isRegistered();
      const { role, nodeRank, heartbeatIntervalMs } = answer;
      return { role: role as Role, nodeRank: Number(nodeRank), heartbeatIntervalMs: Number(heartbeatIntervalMs) };
    }
    return null;
  }

  /** Keeps one long poll for the desired state, which is the heartbeat as well, until the end. */
  async follow(heartbeatIntervalMs: number): Promise<void> {
    const waitMs = Math.min(waitMsMax, heartbeatIntervalMs);
    let revision = -1;
    while (this.#isOpen) {
      const query = `agentId=${encodeURIComponent(this.#options.agentId)}&revision=${revision}&waitMs=${waitMs}`;
      const answer = await this.#client.get(`${this.#base}/desired?${query}`, waitMs, () => this.#isOpen);
      if (answer?.ok === true) {
        const desired = parseDesired(answer["desired"]);
        revision = desired.revision;
        this.#events.onDesired(desired);
      } else await this.#refused("desired", answer);
    }
  }

  /** True once the master has it; false if it must not be told any more. */
  async reportRanks(ranks: readonly RankReport[]): Promise<boolean> {
    await this.#registered;
    return (await this.#post("ranks", () => ({ ranks })))?.ok === true;
  }

  /** At most one under way; what comes meanwhile is dropped, for only the newest matters and more will come. */
  reportProgress(ranks: readonly RankProgress[]): void {
    if (this.#isTellingProgress || !this.#isOpen) return;
    this.#isTellingProgress = true;
    void this.#client.tryPost(`${this.#base}/progress`, this.#body({ ranks })).finally(() => (this.#isTellingProgress = false));
  }

  async reportProbe(probe: string, text: string): Promise<void> {
    await this.#post("probe", () => ({ probe, text }));
  }

  /** True once the master has taken it. */
  async join(round: number, nproc: number, storeHost: string, storePort: number, isWanted: () => boolean): Promise<boolean> {
    return (await this.#post("join", () => ({ round, nproc, storeHost, storePort }), isWanted))?.ok === true;
  }

  close(): void {
    this.#isOpen = false;
    this.#isRegistered();
    this.#client.close();
  }

  async #post(what: string, fields: () => object, isWanted: () => boolean = () => true): Promise<Answer | null> {
    const answer = await this.#client.post(`${this.#base}/${what}`, () => this.#body(fields()), () => this.#isOpen && isWanted());
    if (answer?.ok === false) await this.#refused(what, answer);
    return answer;
  }

  #body(fields: object): object {
    return { agentId: this.#options.agentId, ...fields };
  }

  async #refused(what: string, answer: Answer | null): Promise<void> {
    if (answer?.ok !== false || !this.#isOpen) return;
    const { code, message } = answer;
    if (code === "STALE_AGENT" || code === "UNKNOWN_NODE") {
      this.#isOpen = false; // Nothing more is asked or told.
      this.#isRegistered();
      this.#events.onGone(code, message);
      return;
    }
    this.#options.log(`${what} was refused: ${code}: ${message}`);
    await new Promise((resolve) => setTimeout(resolve, refusedPauseMs));
  }
}

function parseDesired(value: unknown): NodeDesired {
  if (typeof value !== "object" || value === null || !("phase" in value) || !("revision" in value)) {
    throw new Error("the master's desired state is none");
  }
  return value as NodeDesired;
}
