/** The far side of the nursery's tests: starts real nurseries and zygotes in a folder of their own, and talks to their sockets. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { python, waitFor } from "./drover-process.js";

export const nurseryMain = fileURLToPath(new URL("../../../python/drover_nursery/__main__.py", import.meta.url));

export type Answer = { ok: boolean; code?: string; message?: string; [field: string]: unknown };
export type Exit = { exitCode: number | null; signal: string | null; coreDumped: boolean; maxRssKb: number; cpuMs: number; atMs: number };
export type Rank = { token: string; rank: number; round: number; pid: number; startTime: string; warm: boolean; state: string; exit: Exit | null };
export type Event = { event: string } & Partial<Rank> & { status?: number };

/** One connection to a nursery or zygote. */
export class Talk {
  readonly events: Event[] = [];
  readonly #socket: Socket;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 1;
  isClosed = false;

  private constructor(socket: Socket) {
    this.#socket = socket;
    createInterface(socket).on("line", (line) => this.#take(line));
    socket.on("close", () => (this.isClosed = true));
    socket.on("error", () => (this.isClosed = true));
  }

  static async to(path: string): Promise<Talk> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => socket.once("connect", resolve).once("error", reject));
    return new Talk(socket);
  }

  ask(what: string, fields: Record<string, unknown> = {}): Promise<Answer> {
    const id = this.#next++;
    return new Promise((resolve) => {
      this.#waiting.set(id, resolve);
      this.#socket.write(`${JSON.stringify({ id, do: what, ...fields })}\n`);
    });
  }

  /** Sends bytes as they are. */
  write(text: string): void {
    this.#socket.write(text);
  }

  event(name: string, isIt: (event: Event) => boolean = () => true): Promise<Event> {
    return waitFor(
      () => `the event ${name}; seen: ${JSON.stringify(this.events)}`,
      () => this.events.find((event) => event.event === name && isIt(event)),
      20_000,
    );
  }

  async exitOf(token: string): Promise<Exit> {
    const { exit } = await this.event("rank-exited", (event) => event.token === token);
    if (!exit) throw new Error("rank-exited has no exit");
    return exit;
  }

  close(): void {
    this.#socket.destroy();
  }

  #take(line: string): void {
    const message = JSON.parse(line) as (Answer & { id: number | null }) | Event;
    if ("event" in message) this.events.push(message as Event);
    else {
      const { id, ...answer } = message;
      this.#waiting.get(id ?? 0)?.(answer);
      this.#waiting.delete(id ?? 0);
    }
  }
}

/** A folder with the processes started for it. `close` ends them all. */
export class NurseryFolder {
  readonly path = mkdtempSync(join(tmpdir(), "drover-nursery-"));
  readonly socket = join(this.path, "nursery.sock");
  readonly zygoteSocket = join(this.path, "zygote.sock");
  readonly #children: ChildProcess[] = [];
  readonly #pids: number[] = [];
  readonly #talks: Talk[] = [];

  /** A cold nursery under any python3, and a connection to it that is its agent. */
  async cold(options: readonly string[] = []): Promise<Talk> {
    await this.#spawn(python, ["-S", "-E", nurseryMain, "nursery", "--socket", this.socket, ...options]);
    return this.agent();
  }

  /** A zygote; resolves when it can be connected to, which is before its imports are done. */
  async zygote(options: readonly string[] = [], env: NodeJS.ProcessEnv = process.env): Promise<Talk> {
    await this.#spawn(python, ["-u", nurseryMain, "zygote", "--socket", this.zygoteSocket, ...options], env);
    return this.talk(this.zygoteSocket);
  }

  async fork(zygote: Talk, more: Record<string, unknown> = {}): Promise<Talk> {
    const answer = await zygote.ask("fork-nursery", { socketPath: this.socket, logPath: join(this.path, "nursery.log"), ...more });
    if (!answer.ok) throw new Error(JSON.stringify(answer));
    this.#pids.push(answer["pid"] as number);
    return this.agent();
  }

  async agent(): Promise<Talk> {
    const talk = await this.talk(this.socket);
    const hello = await talk.ask("hello", { takeOver: true });
    this.#pids.push(hello["pid"] as number);
    return talk;
  }

  async talk(path: string): Promise<Talk> {
    const talk = await Talk.to(path);
    this.#talks.push(talk);
    return talk;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  read(name: string): string {
    return readFileSync(this.file(name), "utf8");
  }

  close(): void {
    for (const talk of this.#talks) talk.close();
    for (const child of this.#children) child.kill("SIGKILL");
    for (const pid of this.#pids) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended by itself.
      }
    }
    rmSync(this.path, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(program: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<string> {
    const log = openSync(this.file("process.log"), "a");
    const child = spawn(program, args, { cwd: "/", env, detached: true, stdio: ["ignore", "pipe", log] });
    this.#children.push(child);
    return new Promise((resolve, reject) => {
      child.stdout?.once("data", (data: Buffer) => resolve(data.toString().trim()));
      child.once("exit", (code, signal) => {
        if (signal === null && code !== 0) reject(new Error(`ended with ${String(code)}: ${this.read("process.log")}`));
      });
    });
  }
}

/** Fields of `start-rank`: a script (or `-m` module, or command) in `folder`, its output in `<token>.out` and `<token>.err`. */
export function rankOf(
  folder: NurseryFolder,
  token: string,
  program: { kind?: "script" | "module" | "command"; target: string; args?: readonly string[] },
  more: Record<string, unknown> = {},
): Record<string, unknown> {
  return {
    token,
    rank: 0,
    localRank: 0,
    round: 1,
    program: { kind: "script", args: [], python, ...program },
    env: { ...process.env, DROVER_HOME: folder.path },
    cwd: folder.path,
    stdoutPath: folder.file(`${token}.out`),
    stderrPath: folder.file(`${token}.err`),
    ...more,
  };
}
