/**
 * Zygotes: Python interpreters with torch loaded, from which nurseries are forked in milliseconds (docs/nursery.md).
 *
 * - Z1  One zygote an identity (user, interpreter and its packages, environment read at load); two that start at once are settled by the
 *       lock on the socket, and both callers get the one that won.
 * - Z2  The socket lies in a folder that only its user can enter, and is itself mode 600.
 * - Z3  A zygote has nothing of a job in its environment: the end of a job does not end it; it ends itself `keepMs` after its last user.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, realpathSync, statSync } from "node:fs";
import { userInfo } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { JobSpec, RoleSpec } from "../job/job-spec.js";
import { warmDir } from "./job-folder.js";
import { startListening } from "./listening-child.js";
import { LineSocket } from "./line-socket.js";
import { identityLists, nurseryMain, nurseryStamp, roomForTitle } from "./python-package.js";
import { type Environment, sharedEnvironment } from "./shared-environment.js";
import { socketPathFor } from "./socket-path.js";

const statusTimeoutMs = 500;
const logSuffix = ".log";

/** The zygote that would serve a role of a job. */
export type ZygoteWish = Readonly<{
  home: string;
  python: string;
  env: Environment;
  /** Absolute path of the script, whose imports are loaded; null for a module. */
  script: string | null;
  keepMs: number;
}>;

/** Null where a role's ranks are started cold: a command, or a job without `warm`. */
export function zygoteWish(home: string, spec: JobSpec, role: RoleSpec): ZygoteWish | null {
  const { kind, target, python } = role.entrypoint;
  if (!spec.warm.isOn || kind === "command") return null;
  const { perRank } = identityLists();
  const shared = Object.entries(sharedEnvironment(spec, role)).filter(([name]) => !perRank.includes(name));
  const script = kind === "script" ? resolve(spec.cwd, target) : null;
  return { home, python, env: Object.fromEntries(shared), script, keepMs: spec.warm.keepMs };
}

/** Where the zygote listens (Z1). */
export function zygoteSocket(wish: ZygoteWish): string {
  return socketOf(wish.home, identityOf(wish));
}

function socketOf(home: string, identity: string): string {
  return socketPathFor(join(warmDir(home), `${identity}.sock`));
}

/** Z1. */
function identityOf(wish: ZygoteWish): string {
  const { names, prefixes, except } = identityLists();
  const isListed = (name: string): boolean =>
    !except.includes(name) && (names.includes(name) || prefixes.some((prefix) => name.startsWith(prefix)));
  const read = Object.entries(wish.env).filter(([name]) => isListed(name)).sort(([a], [b]) => (a < b ? -1 : 1));
  const identity = JSON.stringify([userInfo().uid, nurseryStamp(), interpreterStamp(wish.python), read]);
  return createHash("sha256").update(identity).digest("hex").slice(0, 20);
}

/** Its stderr. There is one for every zygote that was ever started here, wherever its socket had to go. */
function logPath(wish: ZygoteWish): string {
  return join(warmDir(wish.home), `${identityOf(wish)}${logSuffix}`);
}

/** Where ranks of this script note what they import beyond what was seen in its source. */
export function hintsPath(wish: ZygoteWish): string {
  const name = createHash("sha256").update(`${wish.python}\0${wish.script ?? ""}`).digest("hex").slice(0, 20);
  return join(warmDir(wish.home), `${name}.hints.json`);
}

/**
 * A connection to the zygote, which is started if need be; its imports may still be under way, requests wait for them. While the
 * connection is held the zygote stays, so hold it as long as the zygote is wanted. Rejects where Python cannot be started.
 */
export async function ensureZygote(wish: ZygoteWish): Promise<LineSocket> {
  const path = zygoteSocket(wish);
  const living = await connectTo(path);
  if (living !== null) return living;
  await startZygote(wish, path);
  return LineSocket.open(path, () => undefined, () => undefined);
}

/** Resolves as soon as somebody listens at `path`. */
async function startZygote(wish: ZygoteWish, path: string): Promise<void> {
  mkdirSync(warmDir(wish.home), { recursive: true, mode: 0o700 }); // Z2
  const wants = wish.script === null ? ["--preload", "torch"] : ["--script", wish.script];
  const options = ["--socket", path, "--keep-warm", String(wish.keepMs / 1_000), ...wants, "--hints", hintsPath(wish)];
  const log = logPath(wish);
  const { args, env } = roomForTitle();
  await startListening(wish.python, ["-u", nurseryMain, "zygote", ...options, ...args], { ...wish.env, ...env }, log); // Z1, Z3
}

/** A zygote as `drover ps` shows it. `torch` is null while it is loading, and where there is none. */
export type ZygoteView = Readonly<{
  socket: string;
  pid: number | null;
  python: string | null;
  torch: string | null;
  nurseries: number;
  keepMs: number;
  startedAtMs: number | null;
}>;

/** The zygotes of this user under `home`. One that still imports does not answer, and is shown without its pid. */
export async function listZygotes(home: string): Promise<ZygoteView[]> {
  const found = await Promise.all(socketsIn(home).map(async (socket) => viewOf(socket, await ask(socket, "status"))));
  return found.filter((view) => view !== null);
}

/** Ends them; their living nurseries go on. Gives how many there were. */
export async function stopZygotes(home: string): Promise<number> {
  const stopped = await Promise.all(socketsIn(home).map((socket) => ask(socket, "exit")));
  return stopped.filter((answer) => answer !== null && answer !== "silent").length;
}

type Answer = Readonly<Record<string, unknown>> | "silent" | null;

function viewOf(socket: string, answer: Answer): ZygoteView | null {
  if (answer === null) return null;
  if (answer === "silent") return { socket, pid: null, python: null, torch: null, nurseries: 0, keepMs: 0, startedAtMs: null };
  const { pid, python, torch, nurseries, keepWarmMs, startedAtMs } = answer;
  return {
    socket,
    pid: Number(pid),
    python: String(python),
    torch: typeof torch === "string" ? torch : null,
    nurseries: Array.isArray(nurseries) ? nurseries.length : 0,
    keepMs: Number(keepWarmMs),
    startedAtMs: Number(startedAtMs),
  };
}

/** The answer; null where nobody listens; "silent" where none came in time. */
async function ask(socket: string, request: string): Promise<Answer> {
  const connection = await connectTo(socket);
  if (connection === null) return null;
  const silence = new Promise<"silent">((done) => setTimeout(() => done("silent"), statusTimeoutMs).unref());
  const answer = connection.request(request).catch(() => (request === "exit" ? { ok: true } : null)); // It may end before it answers.
  try {
    return await Promise.race([answer, silence]);
  } finally {
    connection.close();
  }
}

async function connectTo(path: string): Promise<LineSocket | null> {
  try {
    return await LineSocket.open(path, () => undefined, () => undefined);
  } catch {
    return null; // Nobody listens there.
  }
}

function socketsIn(home: string): string[] {
  let names: string[];
  try {
    names = readdirSync(warmDir(home));
  } catch {
    return []; // No zygote was ever started here.
  }
  return names.filter((name) => name.endsWith(logSuffix)).map((name) => socketOf(home, name.slice(0, -logSuffix.length)));
}

/** Changes when the interpreter or what is installed for it does. */
function interpreterStamp(python: string): string {
  const real = realpathSync(python);
  const prefixes = [dirname(dirname(python)), dirname(dirname(real))];
  const sites = prefixes.flatMap((prefix) => libraries(join(prefix, "lib")));
  const changes = [real, join(dirname(dirname(python)), "pyvenv.cfg"), ...sites].map((path) => changedAtMs(path));
  return [python, real, ...changes].join(" ");
}

function libraries(lib: string): string[] {
  try {
    return readdirSync(lib).filter((name) => name.startsWith("python3")).map((name) => join(lib, name, "site-packages"));
  } catch {
    return []; // Not laid out as a prefix.
  }
}

function changedAtMs(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}
