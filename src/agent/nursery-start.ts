/**
 * Gets the node a nursery: the one that lives, else one forked from a zygote, else a cold one.
 *
 * - N1  At most one nursery a node: whoever listens on the node's socket is it, also when another starter was faster.
 * - N2  A zygote that cannot be had costs a note and the warm start, never the job.
 */

import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { type LineSocket, RefusedRequest } from "../launch/line-socket.js";
import { startListening } from "../launch/listening-child.js";
import { nurseryMain } from "../launch/python-package.js";
import type { Environment } from "../launch/shared-environment.js";
import { ensureZygote, hintsPath, type ZygoteWish } from "../launch/zygote.js";
import { Nursery, type NurseryRank, type NurseryState } from "./nursery.js";

/** Without an agent for this long a nursery stops its ranks and ends. */
const orphanTimeoutMs = 300_000;
/** A zygote that has torch to import may take long on a slow disk. */
const forkTimeoutMs = 120_000;

export type NurseryWish = Readonly<{
  socketPath: string;
  logPath: string;
  /** What every rank's token on this node begins with: strays of a killed nursery are found by it. */
  tokenPrefix: string;
  zygote: ZygoteWish | null;
  /** An interpreter for a cold nursery: any python3 from 3.9. */
  python: string;
}>;

export type NurseryEvents = Readonly<{ onExit: (rank: NurseryRank) => void; onLost: (isReplaced: boolean) => void; note: (text: string) => void }>;

/** A nursery taken over. `zygote` is held so that a killed nursery costs a fork, not an import. */
export type OpenNursery = Readonly<{ nursery: Nursery; state: NurseryState }>;

export class NurseryStarter {
  readonly #wish: NurseryWish;
  readonly #events: NurseryEvents;
  #zygote: LineSocket | null = null;

  constructor(wish: NurseryWish, events: NurseryEvents) {
    this.#wish = wish;
    this.#events = events;
  }

  /** Rejects where no nursery can be had at all. */
  async open(): Promise<OpenNursery> {
    return (await this.adopt()) ?? (await this.#warm()) ?? this.#cold();
  }

  /** The nursery that lives already, or null. */
  async adopt(): Promise<OpenNursery | null> {
    try {
      return await Nursery.takeOver(this.#wish.socketPath, this.#events.onExit, this.#events.onLost);
    } catch {
      return null; // Nobody listens there, or it ended while we asked.
    }
  }

  /** Begins to load the zygote, so that a later `open` finds it ready. */
  async prepare(): Promise<void> {
    if (this.#wish.zygote === null || this.#zygote?.isOpen === true) return;
    try {
      this.#zygote = await ensureZygote(this.#wish.zygote);
    } catch (error) {
      this.#events.note(`no zygote: ${textOf(error)}`); // N2
    }
  }

  close(): void {
    this.#zygote?.close();
  }

  async #warm(): Promise<OpenNursery | null> {
    const { zygote, socketPath, logPath, tokenPrefix } = this.#wish;
    if (zygote === null) return null;
    // Twice: a zygote that was about to end may have taken the first request.
    for (let attempt = 0; attempt < 2; attempt++) {
      await this.prepare();
      if (this.#zygote === null) return null;
      const wants = zygote.script === null ? { preload: ["torch"] } : { script: zygote.script };
      const options = { ...wants, hintsPath: hintsPath(zygote), keepWarmMs: zygote.keepMs, orphanTimeoutMs };
      try {
        await within(forkTimeoutMs, this.#zygote.request("fork-nursery", { socketPath, logPath, tokenPrefix, ...options }));
      } catch (error) {
        if (!(error instanceof RefusedRequest && error.code === "ALREADY_LISTENING")) {
          this.#events.note(`the zygote gave no nursery: ${textOf(error)}`); // N2
          this.#zygote.close();
          continue;
        }
      }
      const opened = await this.adopt(); // N1
      if (opened !== null) return opened;
    }
    return null;
  }

  async #cold(): Promise<OpenNursery> {
    const { python, socketPath, logPath, tokenPrefix } = this.#wish;
    const options = ["--socket", socketPath, "--orphan-timeout", String(orphanTimeoutMs / 1_000), "--token-prefix", tokenPrefix];
    await startListening(python, ["-S", "-E", nurseryMain, "nursery", ...options], definedOnly(process.env), logPath);
    return Nursery.takeOver(socketPath, this.#events.onExit, this.#events.onLost); // N1
  }
}

function definedOnly(env: NodeJS.ProcessEnv): Environment {
  return Object.fromEntries(Object.entries(env).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** The interpreter of the nursery of ranks that name none: the first python3 on the path. */
export function findPython(path: string): string {
  for (const dir of path.split(delimiter)) {
    const candidate = join(dir, "python3");
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      continue; // Not here.
    }
  }
  return "python3";
}

async function within<Value>(timeoutMs: number, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const silence = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer within ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([work, silence]);
  } finally {
    clearTimeout(timer);
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
