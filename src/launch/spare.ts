/**
 * Spare processes: a master with a thread ready for each component, and an agent, which the last job that was started with --keep-warm leaves
 * behind. The next job of this user and home gets its master and its first agent in milliseconds.
 *
 * - S1  Their sockets lie in a folder that only their user can enter. One of a kind listens for a build of Drover and of Node.
 * - S2  A spare takes one task and listens no more; whoever asks later is refused. One that took a task and does not say so is killed before
 *       another process is started for it: a job never has two masters, a node never two agents.
 * - S3  `stopSpares` ends those too that are only about to listen, or too busy to answer: it leaves a mark before it looks who listens, and
 *       they look for it once they do, and on each connection.
 */

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { builtModule } from "../base/built-file.js";
import { agentFlags } from "./agent-command.js";
import { type JsonObject, LineSocket } from "./line-socket.js";
import { readJson, writeJson } from "./job-folder.js";
import { parseIdentity, type ProcessIdentity, signalProcess } from "./process-identity.js";
import { socketPathFor } from "./socket-path.js";
import { masterFlags, spawnApart } from "./spawn-apart.js";

const sparePath = fileURLToPath(builtModule("bin/spare.js"));
/** One that does not say who it is by then is stuck. */
const helloTimeoutMs = 500;
const answerTimeoutMs = 2_000;

export const spareKinds = ["master", "agent"] as const;
export type SpareKind = (typeof spareKinds)[number];

/** What a spare becomes: the master of a job, or what `agent.js` does with these arguments in this environment. */
export type SpareTask = Readonly<{ jobDir: string }> | Readonly<{ args: readonly string[]; env: Readonly<Record<string, string>> }>;

export type SpareView = ProcessIdentity & Readonly<{ kind: SpareKind; keepMs: number; startedAtMs: number }>;

function spareDir(home: string): string {
  return join(home, "spare");
}

/** Where the spare of this build listens (S1). */
export function spareSocket(home: string, kind: SpareKind): string {
  const build = createHash("sha256").update(`${process.version} ${sparePath} ${statSync(sparePath).mtimeMs}`).digest("hex");
  return socketPathFor(join(spareDir(home), `${kind}-${build.slice(0, 16)}.sock`));
}

/** Leaves spares behind, unless they are there already; they end by themselves after `keepMs`. */
export function spawnSpares(home: string, keepMs: number): void {
  mkdirSync(spareDir(home), { recursive: true, mode: 0o700 });
  for (const kind of spareKinds) {
    const flags = kind === "agent" ? agentFlags : masterFlags;
    spawnApart([...flags, sparePath, kind, home, String(keepMs), String(Date.now())], join(spareDir(home), "log")).unref();
  }
}

/** Has the spare take this task. Null where there is none. */
export async function takeSpare(home: string, kind: SpareKind, task: SpareTask): Promise<ProcessIdentity | null> {
  const spare = await connect(spareSocket(home, kind));
  if (spare === null) return null;
  try {
    const taken = parseIdentity(await within(answerTimeoutMs, spare.socket.request("take", task)));
    if (taken !== null) return taken;
  } catch {
    // It refused, ended, or is stuck: S2.
  } finally {
    spare.socket.close();
  }
  signalProcess(spare.view, "SIGKILL");
  return null;
}

/** The spares of this user under `home`. */
export async function listSpares(home: string): Promise<SpareView[]> {
  const views = await Promise.all(socketsIn(home).map(async (path) => {
    const spare = await connect(path);
    spare?.socket.close();
    return spare === null ? [] : [spare.view];
  }));
  return views.flat();
}

/** Ends them. Gives how many there were. */
export async function stopSpares(home: string): Promise<number> {
  if (existsSync(spareDir(home))) writeJson(stopMark(home), { atMs: Date.now() }); // S3
  const spares = await listSpares(home);
  return spares.filter((spare) => signalProcess(spare, "SIGTERM")).length;
}

/** S3: whether a spare that was spawned then is not wanted any more. */
export function areSparesStopped(home: string, spawnedAtMs: number): boolean {
  const stopped = readJson(stopMark(home)) as { atMs: number } | null;
  return stopped !== null && stopped.atMs >= spawnedAtMs;
}

function stopMark(home: string): string {
  return join(spareDir(home), "stopped.json");
}

/** A spare says who it is as soon as one connects; one that is stuck counts as none. */
async function connect(path: string): Promise<{ socket: LineSocket; view: SpareView } | null> {
  let hear: (event: JsonObject) => void = () => undefined;
  const hello = new Promise<JsonObject>((resolve) => (hear = resolve));
  let socket: LineSocket | null = null;
  try {
    socket = await LineSocket.open(path, (event) => hear(event), () => hear({}));
    const said = await within(helloTimeoutMs, hello);
    const identity = parseIdentity(said);
    const kind = spareKinds.find((one) => one === said["kind"]);
    if (identity !== null && kind) return { socket, view: { ...identity, kind, keepMs: Number(said["keepMs"]), startedAtMs: Number(said["startedAtMs"]) } };
  } catch {
    // Nobody listens there, or it is stuck.
  }
  socket?.close();
  return null;
}

function socketsIn(home: string): string[] {
  try {
    const names = readdirSync(spareDir(home)).filter((name) => name.endsWith(".sock"));
    const own = spareKinds.map((kind) => spareSocket(home, kind));
    return [...new Set([...names.map((name) => socketPathFor(join(spareDir(home), name))), ...own])];
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
