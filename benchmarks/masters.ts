/**
 * The two masters side by side: DLRover 0.6.1's own, and `drover master`; what they take of the processor, and a load on them.
 *
 * - M1  The processor time of a master is that of all processes that carry its DROVER_HOME, from /proc (hundredths of a second).
 */

import { type ChildProcess, execFileSync, fork, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, readdirSync, rmSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import { type Message, type MessageName, type MessageOf } from "../src/wire/dlrover/message-classes.js";
import { readMessage, writeMessage } from "../src/wire/dlrover/message-codec.js";
import { encodeRequest, type Method, openConnection, pickleOf, type Transport } from "./load-connection.js";
import type { LoadEvent, LoadPlan, LoadResult } from "./load-plan.js";

export const dlroverPython = process.env["DROVER_DLROVER_PYTHON"] ?? "python3";
const droverPath = fileURLToPath(new URL("../../lib/bin/drover.js", import.meta.url));
const generator = fileURLToPath(new URL("load-generator.js", import.meta.url));
const ticksPerSecond = 100;

export type MasterKind = "stock" | "drover";

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

export class Master {
  readonly kind: MasterKind;
  readonly port: number;
  readonly home = mkdtempSync(join(tmpdir(), "drover-bench-master-"));
  readonly #transport: Transport;
  readonly #nodes: number;
  #child: ChildProcess | null = null;
  output = "";

  private constructor(kind: MasterKind, transport: Transport, nodes: number, port: number) {
    this.kind = kind;
    this.port = port;
    this.#transport = transport;
    this.#nodes = nodes;
  }

  static async start(kind: MasterKind, transport: Transport, nodes: number): Promise<Master> {
    const master = new Master(kind, transport, nodes, await freePort());
    await master.begin();
    return master;
  }

  /** Starts it, again after `kill`. */
  async begin(): Promise<void> {
    const env = { ...process.env, DROVER_HOME: this.home };
    const port = String(this.port);
    const stock = ["--platform", "local", "--port", port, "--node_num", String(this.#nodes), "--job_name", "bench", "--service_type", this.#transport];
    const child =
      this.kind === "stock"
        ? spawn(dlroverPython, ["-W", "ignore", "-m", "dlrover.python.master.main", ...stock], { env, stdio: ["ignore", "pipe", "pipe"] })
        : spawn(process.execPath, [droverPath, "master", "--port", port, "--node-num", String(this.#nodes), "--name", "bench"], { env, stdio: ["ignore", "pipe", "pipe"] });
    this.#child = child;
    const keep = (data: Buffer): void => void (this.output = (this.output + data.toString()).slice(-5_000));
    child.stdout.on("data", keep);
    child.stderr.on("data", keep);
    for (const deadline = Date.now() + 60_000; !(await this.#listens()); ) {
      if (Date.now() > deadline || child.exitCode !== null) throw new Error(`the ${this.kind} master did not begin: ${this.output.slice(-1_000)}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // It may listen before it can answer; and what it still loads is not what is measured.
    const connection = await openConnection(this.#transport, this.port);
    await connection.call("get", encodeRequest(this.#transport, "get", 0, writeMessage("PreCheckRequest")));
    connection.close();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }

  #listens(): Promise<boolean> {
    return new Promise((resolve) => {
      const socket = connect({ host: "127.0.0.1", port: this.port });
      socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
      socket.once("connect", () => socket.destroy());
    });
  }

  processes(): number[] {
    return readdirSync("/proc").flatMap((name) => {
      if (!/^\d+$/.test(name)) return [];
      try {
        return readFileSync(`/proc/${name}/environ`, "utf8").split("\0").includes(`DROVER_HOME=${this.home}`) ? [Number(name)] : [];
      } catch {
        return []; // It ended, or is not ours.
      }
    });
  }

  /** M1 */
  cpuSeconds(pids = this.processes()): number {
    let ticks = 0;
    for (const pid of pids) {
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").replace(/^.*\) /, "").split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    }
    return ticks / ticksPerSecond;
  }

  kill(): void {
    for (const pid of this.processes()) {
      try {
        process.kill(pid, "SIGKILL");
      } catch {
        // It ended while we looked.
      }
    }
  }

  async close(): Promise<void> {
    const child = this.#child;
    const ended = child?.exitCode === null && child.signalCode === null ? new Promise((resolve) => child.once("close", resolve)) : null;
    this.kill();
    await ended;
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

export type Measured = LoadResult & Readonly<{ ratePerSecond: number; masterCpuSeconds: number; cpuSecondsPerThousand: number }>;

/** One run of the generator against a master. */
export function underLoad(master: Master, transport: Transport, plan: Omit<LoadPlan, "transport" | "port">): Promise<Measured> {
  return new Promise((resolve, reject) => {
    const whole: LoadPlan = { ...plan, transport, port: master.port };
    const child = fork(generator, [JSON.stringify(whole)], { execArgv: [] });
    const pids = master.processes();
    let cpuAtBegin = 0;
    let result: Measured | null = null;
    child.on("message", (event: LoadEvent) => {
      if (event.type === "began") return void (cpuAtBegin = master.cpuSeconds(pids));
      const masterCpuSeconds = master.cpuSeconds(pids) - cpuAtBegin;
      const { count, elapsedMs } = event;
      result = { ...event, ratePerSecond: count / (elapsedMs / 1_000), masterCpuSeconds, cpuSecondsPerThousand: (masterCpuSeconds / count) * 1_000 };
    });
    child.once("error", reject);
    child.once("exit", (code) => {
      if (result === null) reject(new Error(`the generator of load ended with ${String(code)}; ${master.output.slice(-500)}`));
      else if (result.failed > result.count / 100) reject(new Error(`${result.failed} of ${result.count} calls failed: ${result.firstError}`));
      else resolve(result);
    });
  });
}

/** Pickles as the real package writes them, in base64: `[class, fields]` each, fields as JSON but for bytes, which are `{ "bytes": text }`. */
export function realPickles(messages: readonly (readonly [cls: string, fields: Readonly<Record<string, unknown>>])[]): string[] {
  const program = [
    "import base64, json, pickle, sys",
    "from dlrover.python.common import comm",
    "value = lambda v: v['bytes'].encode() if isinstance(v, dict) and 'bytes' in v else v",
    "print(json.dumps([base64.b64encode(pickle.dumps(getattr(comm, c)(**{k: value(v) for k, v in f.items()}))).decode() for c, f in json.load(sys.stdin)]))",
  ].join("\n");
  const output = execFileSync(dlroverPython, ["-W", "ignore", "-c", program], { input: JSON.stringify(messages), maxBuffer: 2 ** 26 }).toString();
  return JSON.parse(output.trim().split("\n").at(-1) ?? "") as string[];
}

/** What a stock client's own calls are: gRPC with 256 MiB both ways. For single calls, not for load. */
export class Client {
  readonly #client: grpc.Client;

  constructor(master: Master) {
    const megabytes = 256 * 2 ** 20;
    const options = { "grpc.max_receive_message_length": megabytes, "grpc.max_send_message_length": megabytes };
    this.#client = new grpc.Client(`127.0.0.1:${master.port}`, grpc.credentials.createInsecure(), options);
  }

  #call<Name extends MessageName>(method: Method, cls: Name, fields: Partial<MessageOf<Name>>): Promise<Buffer> {
    const prefixBytes = 5;
    const request = encodeRequest("grpc", method, 0, writeMessage(cls, fields)).subarray(prefixBytes);
    const same = (bytes: Buffer): Buffer => bytes;
    return new Promise((resolve, reject) => {
      this.#client.makeUnaryRequest(`/elastic.Master/${method}`, same, same, request, { deadline: Date.now() + 60_000 }, (error, answer) => {
        if (error || !answer) reject(error ?? new Error("no answer"));
        else resolve(answer);
      });
    });
  }

  async get<Name extends MessageName>(cls: Name, fields: Partial<MessageOf<Name>>): Promise<Message> {
    return readMessage(pickleOf("grpc", Buffer.concat([Buffer.alloc(5), await this.#call("get", cls, fields)])));
  }

  async report<Name extends MessageName>(cls: Name, fields: Partial<MessageOf<Name>>): Promise<boolean> {
    return (await this.#call("report", cls, fields))[1] === 1; // Response.success; false is left out.
  }

  close(): void {
    this.#client.close();
  }
}
