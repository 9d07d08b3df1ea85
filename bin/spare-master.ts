/**
 * usage: spare-master.js <home> <milliseconds> — a master that waits for its job (src/launch/spare-master.ts); started by a master, not by people.
 *
 * On each connection it says who it is. It answers one request, `take` with a job's folder, in JSON lines: then it is that job's master.
 */

import { chmodSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { MasterSystem } from "../embed/start-job.js";
import { LineSocket } from "../src/launch/line-socket.js";
import { ownIdentity } from "../src/launch/process-identity.js";
import { spareMasterSocket } from "../src/launch/spare-master.js";
import { runMaster } from "./run-master.js";

const [home, keep] = process.argv.slice(2);
if (home === undefined || keep === undefined) {
  process.stderr.write("usage: spare-master.js <home> <milliseconds to wait>\n");
  process.exit(2);
}

const path = spareMasterSocket(home);
const keepMs = Number(keep);
const startedAtMs = Date.now();
const prepared = new MasterSystem();
let isTaken = false;

const server = createServer((socket) => {
  socket.on("error", () => undefined); // Its end follows, and nobody waits for it.
  socket.write(`${JSON.stringify({ event: "hello", ...ownIdentity(), keepMs, startedAtMs })}\n`);
  createInterface({ input: socket }).on("line", (line) => answer(socket, JSON.parse(line) as Request));
});

type Request = Readonly<{ id: number; do: string; jobDir: string }>;

function answer(socket: Socket, { id, do: name, jobDir }: Request): void {
  if (name !== "take" || isTaken) {
    socket.end(`${JSON.stringify({ id, ok: false, code: "CANNOT_TAKE", message: "it waits for no job" })}\n`);
    return;
  }
  isTaken = true;
  clearTimeout(patience);
  server.close();
  rmSync(path, { force: true });
  socket.end(`${JSON.stringify({ id, ok: true, ...ownIdentity() })}\n`);
  void runMaster(jobDir, prepared).then((code) => process.exit(code));
}

function leave(): void {
  if (isTaken) return; // A master is ended by the end of its job.
  rmSync(path, { force: true });
  process.exit(0);
}

const patience = setTimeout(leave, keepMs);
process.on("SIGTERM", () => (isTaken ? process.exit(143) : leave()));
process.on("SIGHUP", () => undefined);

const isOther = await LineSocket.open(path, () => undefined, () => undefined).then((other) => {
  other.close();
  return true;
}, () => false);
if (isOther) process.exit(0);
rmSync(path, { force: true });
server.listen(path, () => chmodSync(path, 0o600));
prepared.prepare();
