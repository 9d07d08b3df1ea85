/**
 * A spare master: a process with a thread ready for each component, which the last job that was started with --keep-warm leaves behind.
 * The next job of this user and home gets its master in milliseconds.
 *
 * - S1  Its socket lies in a folder that only its user can enter. One listens for a build of Drover and of Node.
 * - S2  It becomes the master of one job and listens no more; whoever asks later is refused. One that took a job and does not say so is
 *       killed before another master is started: a job never has two.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtModule } from "../base/built-file.js";
import { LineSocket } from "./line-socket.js";
import { isAlive, parseIdentity, type ProcessIdentity, signalProcess } from "./process-identity.js";
import { socketPathFor } from "./socket-path.js";
import { spawnApart } from "./spawn-apart.js";

const spareMasterPath = fileURLToPath(builtModule("bin/spare-master.js"));
/** One that is still loading answers when it is ready. */
const answerTimeoutMs = 2_000;

export type SpareMasterView = ProcessIdentity & Readonly<{ keepMs: number; startedAtMs: number }>;

function spareDir(home: string): string {
  return join(home, "spare");
}

/** Where the spare master of this build listens (S1). */
export function spareMasterSocket(home: string): string {
  const build = createHash("sha256").update(`${process.version} ${spareMasterPath} ${statSync(spareMasterPath).mtimeMs}`).digest("hex");
  return socketPathFor(join(spareDir(home), `${build.slice(0, 16)}.sock`));
}

/** Leaves a spare master behind, unless one is there already; it ends by itself after `keepMs`. */
export function spawnSpareMaster(home: string, keepMs: number): void {
  mkdirSync(spareDir(home), { recursive: true, mode: 0o700 });
  spawnApart([spareMasterPath, home, String(keepMs)], join(spareDir(home), "log")).unref();
}

/** Has the spare master take this job. Null where there is none. */
export async function takeSpareMaster(home: string, jobDir: string): Promise<ProcessIdentity | null> {
  const spare = await connect(spareMasterSocket(home));
  if (spare === null) return null;
  try {
    const taken = parseIdentity(await within(answerTimeoutMs, spare.socket.request("take", { jobDir })));
    if (taken !== null) return taken;
  } catch {
    // It refused, ended, or is stuck: S2.
  } finally {
    spare.socket.close();
  }
  signalProcess(spare.identity, "SIGKILL");
  return null;
}

/** The spare masters of this user under `home`. */
export async function listSpareMasters(home: string): Promise<SpareMasterView[]> {
  const views = await Promise.all(socketsIn(home).map(async (path) => {
    const spare = await connect(path);
    spare?.socket.close();
    return spare === null ? [] : [{ ...spare.identity, keepMs: spare.keepMs, startedAtMs: spare.startedAtMs }];
  }));
  return views.flat();
}

/** Ends them. Gives how many there were. */
export async function stopSpareMasters(home: string): Promise<number> {
  const spares = await listSpareMasters(home);
  return spares.filter((spare) => isAlive(spare) && signalProcess(spare, "SIGTERM")).length;
}

/** A spare says who it is as soon as one connects; one that is stuck counts as none. */
async function connect(path: string): Promise<{ socket: LineSocket; identity: ProcessIdentity; keepMs: number; startedAtMs: number } | null> {
  let hear: (event: Readonly<Record<string, unknown>>) => void = () => undefined;
  const hello = new Promise<Readonly<Record<string, unknown>>>((resolve) => (hear = resolve));
  let socket: LineSocket | null = null;
  try {
    socket = await LineSocket.open(path, (event) => hear(event), () => hear({}));
    const said = await within(answerTimeoutMs, hello);
    const identity = parseIdentity(said);
    if (identity !== null) return { socket, identity, keepMs: Number(said["keepMs"]), startedAtMs: Number(said["startedAtMs"]) };
  } catch {
    // Nobody listens there, or it is stuck.
  }
  socket?.close();
  return null;
}

function socketsIn(home: string): string[] {
  try {
    const names = readdirSync(spareDir(home)).filter((name) => name.endsWith(".sock"));
    return [...new Set([...names.map((name) => socketPathFor(join(spareDir(home), name))), spareMasterSocket(home)])];
  } catch {
    return []; // There was never one.
  }
}

async function within<Value>(ms: number, work: Promise<Value>): Promise<Value> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, fail) => {
    timer = setTimeout(() => fail(new Error(`no answer within ${ms} ms`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
