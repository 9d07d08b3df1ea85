/**
 * The agent's side of the nursery's protocol (docs/nursery.md): typed requests, parsed answers, the exits of ranks as events.
 *
 * One connection to one life of a nursery. Its loss means that the nursery died or another agent took it over: `onLost` says which.
 */

import { type JsonObject, LineSocket } from "../launch/line-socket.js";
import type { ProcessIdentity } from "../launch/process-identity.js";
import type { Environment } from "../launch/shared-environment.js";
import type { Entrypoint } from "../job/job-spec.js";

export type RankExit = Readonly<{ exitCode: number | null; signal: string | null; atMs: number }>;

export type NurseryRank = Readonly<{
  token: string;
  rank: number;
  localRank: number;
  round: number;
  pid: number;
  startTime: string;
  isWarm: boolean;
  /** Null while it lives. */
  exit: RankExit | null;
}>;

export type NurseryStore = Readonly<{ round: number; host: string; port: number }>;

export type NurseryState = Readonly<{
  identity: ProcessIdentity;
  mode: string;
  ranks: readonly NurseryRank[];
  stores: readonly NurseryStore[];
}>;

export type RankStart = Readonly<{
  token: string;
  rank: number;
  localRank: number;
  round: number;
  program: Entrypoint;
  env: Environment;
  cwd: string;
  stdoutPath: string;
  stderrPath: string;
  hintsPath: string | null;
}>;

export type StartedRank = Readonly<{ pid: number; startTime: string; isWarm: boolean; whyCold: string | null }>;

export class Nursery {
  readonly #socket: LineSocket;

  private constructor(socket: LineSocket) {
    this.#socket = socket;
  }

  /**
   * Becomes the agent of the nursery at `path`, and gets its state. Rejects where none listens.
   * Events may come before the promise is handled; `onExit` must be able to take the exit of a rank that is not known yet.
   */
  static async takeOver(
    path: string,
    onExit: (rank: NurseryRank) => void,
    onLost: (isReplaced: boolean) => void,
  ): Promise<{ nursery: Nursery; state: NurseryState }> {
    let isReplaced = false;
    const socket = await LineSocket.open(
      path,
      (event) => {
        if (event["event"] === "rank-exited") onExit(parseRank(event));
        else if (event["event"] === "replaced") isReplaced = true;
      },
      () => onLost(isReplaced),
    );
    const state = parseState(await socket.request("hello", { takeOver: true }));
    return { nursery: new Nursery(socket), state };
  }

  async startRank(start: RankStart): Promise<StartedRank> {
    const answer = await this.#socket.request("start-rank", start);
    const { whyCold } = answer;
    return {
      pid: Number(answer["pid"]),
      startTime: String(answer["startTime"]),
      isWarm: answer["warm"] === true,
      whyCold: typeof whyCold === "string" ? whyCold : null,
    };
  }

  /** Resolves when these ranks and all that they started are gone. Asked again with a shorter grace it shortens it. */
  async stopRanks(tokens: readonly string[], graceMs: number): Promise<void> {
    await this.#socket.request("stop-ranks", { tokens, graceMs });
  }

  async forgetRank(token: string): Promise<void> {
    await this.#socket.request("forget-rank", { token });
  }

  /** A store that is used in this round only; idempotent. */
  async openStore(round: number, host: string): Promise<NurseryStore> {
    return parseStore({ ...(await this.#socket.request("open-store", { round, host })), round });
  }

  async closeStore(round: number): Promise<void> {
    await this.#socket.request("close-store", { round });
  }

  /** Ends the nursery; no rank may live. */
  async exit(): Promise<void> {
    await this.#socket.request("exit");
  }

  /** Leaves the nursery to the next agent. */
  close(): void {
    this.#socket.close();
  }
}

function parseState(answer: JsonObject): NurseryState {
  return {
    identity: { pid: Number(answer["pid"]), startTime: String(answer["startTime"]) },
    mode: String(answer["mode"]),
    ranks: listOf(answer["ranks"]).map(parseRank),
    stores: listOf(answer["stores"]).map(parseStore),
  };
}

function parseRank(value: JsonObject): NurseryRank {
  const exit = value["exit"] as JsonObject | null;
  return {
    token: String(value["token"]),
    rank: Number(value["rank"]),
    localRank: Number(value["localRank"]),
    round: Number(value["round"]),
    pid: Number(value["pid"]),
    startTime: String(value["startTime"]),
    isWarm: value["warm"] === true,
    exit: exit === null ? null : parseExit(exit),
  };
}

function parseExit(exit: JsonObject): RankExit {
  const { exitCode, signal, atMs } = exit;
  return {
    exitCode: typeof exitCode === "number" ? exitCode : null,
    signal: typeof signal === "string" ? signal : null,
    atMs: Number(atMs),
  };
}

function parseStore(value: JsonObject): NurseryStore {
  return { round: Number(value["round"]), host: String(value["host"]), port: Number(value["port"]) };
}

function listOf(value: unknown): JsonObject[] {
  return Array.isArray(value) ? (value as JsonObject[]) : [];
}
