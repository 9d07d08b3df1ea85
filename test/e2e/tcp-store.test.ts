/** The nursery's store against torch's own client, and beside torch's own server. */

import { execFile, spawn } from "node:child_process";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { python, waitFor } from "./drover-process.js";
import { NurseryFolder, rankOf, type Talk } from "./nursery-process.js";

const fixture = (name: string): string => fileURLToPath(new URL(`../../../test/fixtures/${name}`, import.meta.url));

const outputOf = (script: string, ...args: string[]): Promise<string> =>
  new Promise((resolve, reject) => {
    execFile(python, [fixture(script), ...args], { timeout: 60_000 }, (error, stdout, stderr) =>
      error ? reject(new Error(stderr, { cause: error })) : resolve(stdout.trim()),
    );
  });

/** Runs `use` beside torch's own server. */
const withTorchServer = async <T>(use: (port: string) => Promise<T>): Promise<T> => {
  const server = spawn(python, [fixture("store_server.py")], { stdio: ["pipe", "pipe", "inherit"] });
  try {
    const port = await new Promise<string>((resolve) => server.stdout.once("data", (data: Buffer) => resolve(data.toString().trim())));
    return await use(port);
  } finally {
    server.kill("SIGKILL");
  }
};

describe("the round's store", function () {
  this.timeout(90_000);
  let folder: NurseryFolder;
  let agent: Talk;
  let port: number;
  let round = 0;

  before(async () => {
    folder = new NurseryFolder();
    agent = await folder.cold();
  });
  beforeEach(async () => {
    port = (await agent.ask("open-store", { round: ++round }))["port"] as number;
  });
  after(() => folder.close());

  it("answers every request of torch's client as torch's server does", async () => {
    const theirs = await withTorchServer((theirPort) => outputOf("store_client.py", "127.0.0.1", theirPort));
    const ours = await outputOf("store_client.py", "127.0.0.1", String(port));
    expect(JSON.parse(ours)).to.deep.equal(JSON.parse(theirs));
  });

  it("carries two gloo ranks from init_process_group to its end", async () => {
    const start = (rank: number): Promise<unknown> => {
      const env = {
        ...process.env,
        ...{ RANK: String(rank), LOCAL_RANK: String(rank), WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(port) },
        TORCHELASTIC_USE_AGENT_STORE: "True",
      };
      return agent.ask("start-rank", rankOf(folder, `gloo${rank}`, { target: fixture("collectives.py") }, { env }));
    };
    await Promise.all([start(0), start(1)]);
    for (const token of ["gloo0", "gloo1"]) {
      const exit = await agent.exitOf(token);
      expect(exit.exitCode, folder.read(`${token}.err`)).to.equal(0);
      expect(folder.read(`${token}.out`).trim()).to.equal("3 [0, 1] [0, 1]");
    }
  });

  it("drops a client that does not speak the protocol, and counts it", async () => {
    const u64 = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    };
    const valid = Buffer.from([0, 0xce, 0xf7, 0x85, 0x3c]);
    const isDropped = (bytes: Buffer): Promise<void> =>
      new Promise((resolve) => {
        const socket = connect(port, "127.0.0.1", () => socket.write(bytes));
        socket.on("close", () => resolve()).on("error", () => undefined);
      });
    const malformed = [
      Buffer.from("GET / HTTP/1.1\r\n\r\n"),
      Buffer.from([0, 1, 2, 3, 4]),
      Buffer.concat([valid, Buffer.from([99])]),
      Buffer.concat([valid, Buffer.from([1]), u64(2 ** 40)]),
      Buffer.concat([valid, Buffer.from([6]), u64(2 ** 30)]),
      Buffer.concat([valid, Buffer.from([1]), u64(1), Buffer.from("k"), u64(1), Buffer.from("x"), Buffer.from([4]), u64(1), Buffer.from("k"), u64(1)]),
    ];
    for (const bytes of malformed) await isDropped(bytes);
    expect((await agent.ask("status"))["droppedStoreClients"]).to.equal(malformed.length);
    expect(await outputOf("store_rate.py", "127.0.0.1", String(port), "10")).to.match(/^\d+$/);
  });

  it("is another one for another round, the same for the same, and gone when closed", async () => {
    const again = await agent.ask("open-store", { round });
    expect(again["port"]).to.equal(port);
    const next = await agent.ask("open-store", { round: ++round });
    expect(next["port"]).not.to.equal(port);
    await agent.ask("close-store", { round });
    const refused = new Promise((resolve) => connect(next["port"] as number, "127.0.0.1").on("error", resolve));
    expect(await refused).to.have.property("code", "ECONNREFUSED");
  });

  it("takes a request that arrives byte by byte", async () => {
    const socket = connect(port, "127.0.0.1").setNoDelay(true);
    const answers: Buffer[] = [];
    socket.on("data", (data: Buffer) => answers.push(data));
    const add = Buffer.from("00cef7853c" + "04" + "0200000000000000" + "2f6e" + "0500000000000000", "hex");
    for (const byte of add) {
      socket.write(Buffer.from([byte]));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await waitFor("the answer", () => (Buffer.concat(answers).length === 8 ? true : undefined));
    expect(Buffer.concat(answers).readBigInt64LE()).to.equal(5n);
    socket.destroy();
  });

  it("acts when the whole request is there, and waits for one thing at a time", async () => {
    const u64 = (value: number): Buffer => {
      const bytes = Buffer.alloc(8);
      bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    };
    const text = (value: string): Buffer => Buffer.concat([u64(value.length), Buffer.from(value)]);
    const speak = (): { say: (...parts: (number | Buffer)[]) => void; heard: (length: number) => Promise<Buffer>; end: () => void } => {
      const socket = connect(port, "127.0.0.1").setNoDelay(true);
      const received: Buffer[] = [];
      socket.on("data", (data: Buffer) => received.push(data));
      const say = (...parts: (number | Buffer)[]): void => {
        socket.write(Buffer.concat(parts.map((part) => (typeof part === "number" ? Buffer.from([part]) : part))));
      };
      say(Buffer.from([0, 0xce, 0xf7, 0x85, 0x3c]));
      const heard = (length: number): Promise<Buffer> =>
        waitFor(`${length} bytes`, () => (Buffer.concat(received).length >= length ? Buffer.concat(received) : undefined), 5_000);
      return { say, heard, end: () => socket.destroy() };
    };
    const [set, get, wait, count, multiSet] = [1, 3, 6, 7, 11];
    const one = speak();
    const other = speak();
    one.say(multiSet, u64(2), text("a"), text("1"), text("b"), u64(5), Buffer.from("12"));
    other.say(count);
    expect((await other.heard(8)).readBigInt64LE(), "keys while half of the request is there").to.equal(0n);
    one.say(Buffer.from("345"), count);
    expect((await one.heard(8)).readBigInt64LE()).to.equal(2n);
    one.say(wait, u64(1), text("first"), wait, u64(1), text("second"), get, text("b"));
    expect((await one.heard(8 + 13)).subarray(16).toString(), "nothing but the value").to.equal("12345");
    other.say(set, text("first"), text(""), count);
    await other.heard(16);
    one.say(get, text("a"));
    expect((await one.heard(8 + 13 + 9)).at(-1), "the first wait was given up").to.equal("1".charCodeAt(0));
    other.say(set, text("second"), text(""));
    expect((await one.heard(8 + 13 + 9 + 1)).length).to.equal(8 + 13 + 9 + 1);
    one.end();
    other.end();
  });

  it("serves at a rate that is not far from torch's own server", async () => {
    const ours = Number(await outputOf("store_rate.py", "127.0.0.1", String(port), "1500"));
    const theirs = Number(await withTorchServer((theirPort) => outputOf("store_rate.py", "127.0.0.1", theirPort, "1500")));
    expect(ours, `rounds a second, ours beside theirs (${theirs})`).to.be.above(theirs / 4);
    if (process.env["DROVER_SHOW_FIGURES"]) process.stderr.write(`store rounds/s: ours ${ours}, torch's ${theirs}\n`);
  });
});
