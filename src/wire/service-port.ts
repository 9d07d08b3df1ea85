/**
 * The Master Service's hands: an HTTP server whose handlers ask the other components.
 *
 * - P1  Once it has listened on a port it does so again after a restart: agents and clients come back to the same address. A port that is still
 *       held is waited for (`listenPatienceMs`); then one that was asked for is PORT_IN_USE, one that was only remembered is replaced by a free one.
 * - P2  What ends because the server closes is not taken for an agent that went away.
 * - P3  It listens before its routes are loaded: agents start meanwhile, and their first requests wait.
 */

import type { Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";
import { BoundaryError } from "../base/errors.js";
import type { JobSpec } from "../job/job-spec.js";
import { type InheritedSocket, isStillOpen } from "../launch/held-port.js";
import type { ActorPort, PortContext, Tell } from "../runtime/actor.js";
import type { PauseReason } from "../store/journal-messages.js";
import type { DeskOptions } from "./dlrover/dlrover-desk.js";
import type { DlroverWire } from "./dlrover/dlrover-wire.js";
import { FrontDoor } from "./front-door.js";
import type { MasterCalls } from "./master-calls.js";
import type { ServiceApp } from "./service-app.js";
import { tokenIn } from "./token.js";
import { defaultLimits, type WireLimits } from "./wire-limits.js";

/** The routes and what they need: loaded as soon as this module is, waited for by who needs them (P3). */
const app = import("./service-app.js");
app.catch(() => undefined); // Who waits for it says what is wrong.

export type ServiceOptions = Readonly<{
  /** Where to listen; 127.0.0.1 unless the user says otherwise. */
  host: string;
  /** 0: the one that it had before, else a free one. */
  port: number;
  /** A socket that listens there already; once it was closed it is made anew. */
  socket: InheritedSocket | null;
  tokenPath: string;
  /** The job's SQLite file, read for the history. */
  statePath: string;
  /** How often the master was started before. */
  restarts: number;
  /** Whose agents there are: DLRover's speak a wire of their own. */
  agents: JobSpec["agents"];
  /** Default: `defaultLimits`. */
  limits?: Partial<WireLimits>;
}>;

export type ServiceCommand =
  /** Listen if that has not begun; `port` is the one that it had before, 0 for none. */
  | Readonly<{ type: "listen"; port: number }>
  | Readonly<{ type: "show-stage"; stage: string }>
  | Readonly<{ type: "show-pause"; reason: PauseReason | null }>
  | Readonly<{ type: "wake-followers" }>;

export type Listening = Tell<"listening", { host: string; port: number }>;

/** How long a port may still be held by the thread or process that listened there before. */
export const listenPatienceMs = 3_000;

/** Opens the server; when it listens the actor is told. Throws `BoundaryError` PORT_IN_USE, ADDRESS_UNUSABLE, BAD_TOKEN. */
export async function openServicePort(
  options: ServiceOptions,
  ctx: PortContext<Listening>,
  calls: MasterCalls,
): Promise<ActorPort<ServiceCommand>> {
  const port = new ServicePort(options, ctx, calls);
  await port.open();
  return port;
}

class ServicePort implements ActorPort<ServiceCommand> {
  readonly #options: ServiceOptions;
  readonly #ctx: PortContext<Listening>;
  readonly #calls: MasterCalls;
  readonly #limits: WireLimits;
  readonly #door: FrontDoor;
  #app: ServiceApp | null = null;
  #dlrover: DlroverWire | null = null;
  /** Connections of DLRover's agents that came before what answers them was loaded (P3). */
  #early: Socket[] = [];
  #loading: Promise<void> = Promise.resolve();
  #isListening = false;
  #address = "";
  #stage: string | null = null;
  #pause: PauseReason | null = null;
  #isClosing = false;

  constructor(options: ServiceOptions, ctx: PortContext<Listening>, calls: MasterCalls) {
    this.#options = options;
    this.#ctx = ctx;
    this.#limits = { ...defaultLimits, ...options.limits };
    this.#door = new FrontDoor(this.#limits);
    this.#calls = {
      ...calls,
      agentDisconnected: (agent) => {
        if (!this.#isClosing) calls.agentDisconnected(agent); // P2
      },
    };
  }

  async open(): Promise<void> {
    const { tokenPath, port } = this.#options;
    const token = tokenIn(tokenPath);
    if (this.#options.agents.kind === "dlrover") {
      this.#door.splitOff((socket) => (this.#dlrover ? this.#dlrover.take(socket) : this.#early.push(socket)));
    }
    if (port !== 0) await this.#listen(port, false);
    this.#loading = this.#load(token).catch((thrown: unknown) => this.#fail(thrown)); // P3
  }

  async #load(token: string): Promise<void> {
    const { openServiceApp } = await app;
    const { statePath, restarts, agents } = this.#options;
    if (agents.kind === "dlrover") await this.#openDlrover(agents, token);
    this.#app = await openServiceApp({
      door: this.#door,
      calls: this.#calls,
      limits: this.#limits,
      token,
      statePath,
      restarts,
      address: () => this.#address,
      pause: () => this.#pause,
      dlrover: this.#dlrover,
      onDefect: (error, route) => this.#logDefect(error, route),
    });
    if (this.#stage !== null) this.#app.metrics.showStage(this.#stage);
    this.#app.metrics.showPause(this.#pause !== null);
  }

  /** Loaded by jobs that need it only. */
  async #openDlrover({ jobUid, needsToken }: JobSpec["agents"], token: string): Promise<void> {
    const { openDlroverWire } = await import("./dlrover/dlrover-wire.js");
    const log: DeskOptions["log"] = (level, text, fields) => this.#ctx.log(level, text, fields);
    this.#dlrover = openDlroverWire(this.#calls, { jobUid, token: needsToken ? token : null, log });
    for (const socket of this.#early.splice(0)) this.#dlrover.take(socket);
  }

  #fail(thrown: unknown): void {
    if (!this.#isClosing) this.#ctx.fail(thrown instanceof Error ? thrown : new Error(String(thrown)));
  }

  #logDefect(error: Error, route: string): void {
    this.#ctx.log("error", "a request failed", { route, error: error.stack ?? error.message });
  }

  perform(command: ServiceCommand): void {
    switch (command.type) {
      case "listen":
        if (!this.#isListening) this.#listen(command.port, true).catch((thrown: unknown) => this.#fail(thrown));
        return;
      case "show-stage":
        this.#stage = command.stage;
        this.#app?.metrics.showStage(command.stage);
        return;
      case "show-pause":
        this.#pause = command.reason;
        this.#app?.metrics.showPause(command.reason !== null);
        return;
      case "wake-followers":
        this.#app?.streams.wake();
        return;
    }
  }

  /** P1. */
  async #listen(wanted: number, mayBeAnother: boolean): Promise<void> {
    const { host, socket } = this.#options;
    this.#isListening = true;
    const untilMs = performance.now() + listenPatienceMs;
    let port = wanted;
    while (!this.#door.server.listening && !this.#isClosing) {
      try {
        await this.#door.listen(socket && isStillOpen(socket) ? { fd: socket.fd } : { host, port });
      } catch (error) {
        const isHeld = error instanceof Error && "code" in error && error.code === "EADDRINUSE";
        if (!isHeld) throw unusable(host, port, error);
        if (performance.now() < untilMs) await delay(20);
        else if (!mayBeAnother) throw inUse(host, port, error);
        else port = 0;
      }
    }
    const bound = this.#door.server.address();
    if (this.#isClosing || typeof bound !== "object" || bound === null) return;
    if (wanted !== 0 && bound.port !== wanted) this.#ctx.log("warn", "another program has the port; took a free one", { wanted, port: bound.port });
    this.#address = host.includes(":") ? `[${host}]:${bound.port}` : `${host}:${bound.port}`;
    this.#ctx.tell(this.#ctx.self, { type: "listening", host, port: bound.port });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#door.close();
    await this.#loading;
    await this.#app?.close();
  }
}

function inUse(host: string, port: number, cause: unknown): BoundaryError {
  const hint = `See who has it (ss -ltnp 'sport = :${port}'), or choose another port; 0 takes a free one.`;
  return new BoundaryError("PORT_IN_USE", `port ${port} of ${host} is in use`, { value: String(port), hint }, { cause });
}

function unusable(host: string, port: number, cause: unknown): BoundaryError {
  const why = cause instanceof Error ? cause.message : String(cause);
  const hint = "Name an address of this machine, and a port from 1,024 on unless you are root.";
  return new BoundaryError("ADDRESS_UNUSABLE", `cannot listen on ${host}:${port}: ${why}`, { value: `${host}:${port}`, hint }, { cause });
}
