/**
 * usage: spare.js <master|agent> <home> <milliseconds> <since> — a process that waits for its task (src/launch/spare.ts); started by a master, not by people.
 *
 * On each connection it says who it is. It answers one request, `take` with a task, in JSON lines: then it is that job's master or that
 * node's agent, and nothing else any more.
 */

import { chmodSync, rmSync, statSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { LineSocket } from "../src/launch/line-socket.js";
import { ownIdentity } from "../src/launch/process-identity.js";
import { areSparesStopped, spareKinds, spareSocket, type SpareTask } from "../src/launch/spare.js";

const lookEveryMs = 2_000;
/** For others who have connected, to hear who it is. */
const farewellMs = 200;

type Request = SpareTask & Readonly<{ id: number; do: string }>;

const [named, home, keep, spawnedAt] = process.argv.slice(2);
const kind = spareKinds.find((one) => one === named);
if (kind === undefined || home === undefined || keep === undefined || spawnedAt === undefined) {
  process.stderr.write("usage: spare.js <master|agent> <home> <milliseconds to wait> <epoch milliseconds when it was spawned>\n");
  process.exit(2);
}

const path = spareSocket(home, kind);
const keepMs = Number(keep);
const startedAtMs = Date.now();
let isTaken = false;
/** Of the socket's file, to tell it from that of a spare which came at the same time and took its place. */
let inode = 0;

const server = createServer((socket) => {
  if (areSparesStopped(home, Number(spawnedAt))) setTimeout(leave, farewellMs); // S3
  socket.write(`${JSON.stringify({ event: "hello", kind, ...ownIdentity(), keepMs, startedAtMs })}\n`);
  const lines = createInterface({ input: socket });
  for (const end of [socket, lines]) end.on("error", () => undefined); // Who asked is gone; its end follows.
  lines.on("line", (line) => answer(socket, JSON.parse(line) as Request));
});

function answer(socket: Socket, request: Request): void {
  const { id } = request;
  if (request.do !== "take" || isTaken) {
    socket.end(`${JSON.stringify({ id, ok: false, code: "CANNOT_TAKE", message: "it waits for no task" })}\n`);
    return;
  }
  isTaken = true;
  clearTimeout(patience);
  clearInterval(look);
  process.off("SIGTERM", leave);
  process.off("SIGHUP", stay);
  server.close();
  removeOwn();
  socket.end(`${JSON.stringify({ id, ok: true, ...ownIdentity() })}\n`);
  void become(request).then((code) => process.exit(code));
}

/** What it waits to become, loaded and ready. */
const ready = kind === "master" ? readyMaster() : readyAgent();

async function become(task: SpareTask): Promise<number> {
  return (await ready)(task);
}

async function readyMaster(): Promise<(task: SpareTask) => Promise<number>> {
  const [{ runMaster }, { MasterSystem }] = await Promise.all([import("./run-master.js"), import("../embed/start-job.js")]);
  const prepared = new MasterSystem();
  prepared.prepare();
  return (task) => ("jobDir" in task ? runMaster(task.jobDir, { prepared }) : Promise.resolve(2));
}

async function readyAgent(): Promise<(task: SpareTask) => Promise<number>> {
  const { runAgent } = await import("./run-agent.js");
  return (task) => {
    if (!("args" in task)) return Promise.resolve(2);
    process.env = { ...task.env };
    return runAgent(task.args);
  };
}

function leave(): void {
  if (isTaken) return;
  removeOwn();
  process.exit(0);
}

function isOwn(): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === inode;
}

function removeOwn(): void {
  if (isOwn()) rmSync(path, { force: true });
}

function stay(): void {
  // The terminal that it was started from is gone: nothing to it.
}

const patience = setTimeout(leave, keepMs);
const look = setInterval(() => {
  if (inode !== 0 && !isOwn()) leave(); // Nobody can reach it any more.
}, lookEveryMs);
process.on("SIGTERM", leave);
process.on("SIGHUP", stay);

const isOther = await LineSocket.open(path, () => undefined, () => undefined).then((other) => {
  other.close();
  return true;
}, () => false);
if (isOther) process.exit(0);
rmSync(path, { force: true });
server.listen(path, () => {
  chmodSync(path, 0o600);
  if (areSparesStopped(home, Number(spawnedAt))) leave(); // S3
});
inode = statSync(path, { throwIfNoEntry: false })?.ino ?? 0; // It is bound at once.
