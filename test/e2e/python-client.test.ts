/** The Python client against a small far side that loses connections, answers late and remembers who holds what. */

import { execFile } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { python } from "./drover-process.js";

const packages = fileURLToPath(new URL("../../../python", import.meta.url));

type Task = { taskId: number; epoch: number; shard: { start: number; end: number; indices?: number[] } };

/** A master that knows one data set's tasks. `loses` counts requests whose connection is cut, before or after they act. */
class FarSide {
  readonly seen: { method: string; path: string; body: Record<string, unknown>; id: string }[] = [];
  readonly done: number[] = [];
  readonly failed: number[] = [];
  readonly held = new Map<number, string>();
  readonly #answers = new Map<string, object>();
  readonly #server: Server;
  todo: Task[] = [];
  loses = 0;
  address = "";

  constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, "127.0.0.1", resolve));
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("no port");
    this.address = `127.0.0.1:${address.port}`;
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request) text += String(chunk);
    const id = String(request.headers["x-request-id"]);
    const path = request.url ?? "";
    const body = (text ? JSON.parse(text) : {}) as Record<string, unknown>;
    this.seen.push({ method: request.method ?? "", path, body, id });
    if (request.headers.authorization !== "Bearer secret") {
      response.writeHead(401).end(JSON.stringify({ error: { code: "UNAUTHORIZED", message: "no" } }));
      return;
    }
    const isBeforeActing = this.loses % 2 === 0;
    if (this.loses > 0) {
      this.loses -= 1;
      if (!isBeforeActing) this.#act(id, path, body);
      request.socket.destroy();
      return;
    }
    const answer = this.#act(id, path, body);
    const status = "error" in answer ? 409 : 200;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(answer));
  }

  #act(id: string, path: string, body: Record<string, unknown>): object {
    const known = this.#answers.get(id);
    if (known) return known;
    const answer = this.#answer(path, body);
    this.#answers.set(id, answer);
    return answer;
  }

  #answer(path: string, body: Record<string, unknown>): object {
    if (path.startsWith("/api/v1/job")) return { name: "j", stage: "running" };
    if (path === "/api/v1/datasets") return { ok: true, isNew: true };
    if (path.endsWith("/checkpoint")) return body["content"] ? { ok: true } : { ok: true, content: "some text" };
    if (path.endsWith("/lease")) {
      const task = this.todo.shift();
      if (task) {
        this.held.set(task.taskId, String(body["worker"]));
        return { status: "shard", task };
      }
      return { status: this.held.size > 0 ? "wait" : "done" };
    }
    const taskId = Number(path.split("/").at(-1));
    if (!this.held.delete(taskId)) return { error: { code: "NOT_THE_HOLDER", message: `task ${taskId} is another's`, hint: "Go on." } };
    (body["ok"] ? this.done : this.failed).push(taskId);
    return { ok: true };
  }
}

describe("the Python client", function () {
  this.timeout(30_000);
  let far: FarSide;
  let folder: string;

  beforeEach(async () => {
    far = new FarSide();
    await far.listen();
    folder = mkdtempSync(join(tmpdir(), "drover-client-"));
    writeFileSync(join(folder, "token"), "secret\n");
  });
  afterEach(async () => {
    await far.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** Runs Python text under what a rank is given. */
  const run = (text: string, env: Record<string, string | undefined> = {}): Promise<{ stdout: string; stderr: string }> =>
    new Promise((resolve, reject) => {
      const rank = { DROVER_MASTER_ADDR: far.address, DROVER_TOKEN_FILE: join(folder, "token"), DROVER_NODE_ID: "worker-0", RANK: "1", DROVER_INCARNATION: "2" };
      const options = { env: { ...process.env, PYTHONPATH: packages, ...rank, ...env }, timeout: 25_000, cwd: folder };
      execFile(python, ["-c", text], options, (error, stdout, stderr) => (error ? reject(new Error(stderr, { cause: error })) : resolve({ stdout, stderr })));
    });
  const tasks = (count: number, size = 10): Task[] =>
    Array.from({ length: count }, (_, index) => ({ taskId: index, epoch: 0, shard: { start: index * size, end: (index + 1) * size } }));

  it("gets every shard once and says that each is done before it asks for the next", async () => {
    far.todo = tasks(3);
    const { stdout } = await run("import drover\nfor s in drover.shards('d', size=30, shard_size=10, shuffle=True):\n    print(s, len(s), list(s.records())[0])");
    expect(stdout.split("\n").slice(0, 2)).to.deep.equal(["Shard('d', epoch=0, start=0, end=10) 10 0", "Shard('d', epoch=0, start=10, end=20) 10 10"]);
    expect(far.done).to.deep.equal([0, 1, 2]);
    expect(far.seen.map(({ path }) => path.replace("/api/v1/datasets", ""))).to.deep.equal(
      ["", "/d/lease", "/d/tasks/0", "/d/lease", "/d/tasks/1", "/d/lease", "/d/tasks/2", "/d/lease"],
    );
    expect(far.seen[0]?.body).to.deep.equal({ name: "d", kind: "table", size: 30, shardSize: 10, epochs: 1, shuffle: true, seed: 0, timeoutMs: 1_800_000 });
    expect(far.seen[1]?.body).to.include({ worker: "worker-0/1/2", node: "worker-0" });
  });

  it("sends a lost request again under its id, so that it acts once", async () => {
    far.todo = tasks(4);
    far.loses = 5;
    await run("import drover\nfor s in drover.shards('d', size=40, shard_size=10): pass");
    expect(far.done).to.deep.equal([0, 1, 2, 3]);
    expect(new Set(far.seen.map(({ id }) => id)).size).to.equal(far.seen.length - 5);
  });

  it("waits for a master that is started again on its port", async () => {
    far.todo = tasks(1);
    const port = Number(far.address.split(":")[1]);
    const before = far;
    await before.close();
    const running = run("import drover\nprint([s.start for s in drover.shards('d', size=10, shard_size=10)])");
    await new Promise((resolve) => setTimeout(resolve, 500));
    far = new FarSide();
    far.todo = tasks(1);
    await far.listen(port);
    expect((await running).stdout).to.equal("[0]\n");
  });

  it("gives up after its patience, and says so", async () => {
    await far.close();
    const text = "import drover\ndrover.init(patience_seconds=0.2)\ntry:\n    drover.job()\nexcept drover.DroverError as e:\n    print(e.code)";
    expect((await run(text)).stdout).to.equal("UNREACHABLE\n");
    await far.listen();
  });

  it("gives back a shard that failed, and takes another's word for one that it lost", async () => {
    far.todo = tasks(2);
    const text = [
      "import drover",
      "shards = drover.shards('d', size=20, shard_size=10)",
      "first = next(shards)",
      "first.failed('bad record')",
      "second = next(shards)",
      "second.done(); second.done()",
      "second.is_finished = False",
      "second.done()",
      "print(list(shards))",
    ].join("\n");
    expect((await run(text)).stdout).to.equal("[]\n");
    expect([far.failed, far.done]).to.deep.equal([[0], [1]]);
    expect(far.seen.find(({ path }) => path.endsWith("tasks/0"))?.body).to.deep.equal({ worker: "worker-0/1/2", ok: false, message: "bad record" });
  });

  it("tells the job, and saves and restores a data set's progress", async () => {
    const text = "import drover\nprint(drover.job()['stage'], drover.dataset_checkpoint('d'))\ndrover.restore_dataset('d', 'older text')";
    expect((await run(text)).stdout).to.equal("running some text\n");
    expect(far.seen.at(-1)).to.deep.include({ method: "PUT", path: "/api/v1/datasets/d/checkpoint", body: { content: "older text" } });
  });

  it("raises a refusal with its code", async () => {
    const text = "import drover\ntry:\n    drover.job()\nexcept drover.DroverError as e:\n    print(e.code, e)";
    expect((await run(text, { DROVER_TOKEN: "wrong" })).stdout).to.match(/^UNAUTHORIZED UNAUTHORIZED: no/);
  });

  it("reports to nobody, with one note, where Drover did not start the script", async () => {
    const alone = { DROVER_MASTER_ADDR: undefined, DROVER_PROGRESS_FILE: undefined };
    const { stderr } = await run("import drover\ndrover.report(step=1)\ndrover.report(step=2)\ndrover.checkpoint(2)", alone);
    expect(stderr.trim().split("\n")).to.have.length(1);
    const text = "import drover\ntry:\n    drover.job()\nexcept drover.NotUnderDrover as e:\n    print(e.code)";
    expect((await run(text, alone)).stdout).to.equal("NOT_UNDER_DROVER\n");
  });

  it("appends progress as JSON lines, begins the file anew at 1 MiB, and is cheap", async () => {
    const path = join(folder, "progress");
    const text = [
      "import drover, os, time",
      "drover.report(step=1, loss=0.5, samples=64)",
      "drover.report(step=2, loss=float('nan'))",
      "drover.checkpoint(2)",
      `first = open(${JSON.stringify(path)}).read()`,
      "best = 1e9",
      "sizes = []",
      "for _ in range(20):",
      "    began = time.perf_counter()",
      "    for step in range(1000):",
      "        drover.report(step=step, loss=0.25, samples=64)",
      "    best = min(best, time.perf_counter() - began)",
      `    sizes.append(os.path.getsize(${JSON.stringify(path)}))`,
      "print(best * 1000, max(sizes) <= 1 << 20, sizes[-1] < max(sizes))",
      "print(first)",
    ].join("\n");
    const lines = (await run(text, { DROVER_PROGRESS_FILE: path })).stdout.split("\n");
    const [microseconds, isBounded, isAnew] = (lines[0] ?? "").split(" ");
    expect(Number(microseconds), "microseconds a call").to.be.below(20);
    expect([isBounded, isAnew]).to.deep.equal(["True", "True"]);
    expect(lines[1]).to.match(/^\{"step":1,"loss":0.5,"samples":64,"t":\d+\.\d{3}\}$/);
    expect(lines[2]).to.match(/^\{"step":2,"loss":NaN,"t":/);
    expect(lines[3]).to.match(/^\{"checkpoint":2,"t":/);
    expect(readFileSync(path, "utf8").endsWith("}\n")).to.equal(true);
  });

  it("feeds a DataLoader, and calls a shard done only when its last batch was trained with", async () => {
    far.todo = tasks(4, 10);
    const text = [
      "import drover, json, sys",
      "from drover.torch_sampler import ShardSampler",
      "from torch.utils.data import DataLoader",
      "sampler = ShardSampler(drover.shards('d', size=40, shard_size=10), batch_size=4)",
      "loader = DataLoader(list(range(40)), batch_size=4, sampler=sampler)",
      "import urllib.request",
      "trained = []",
      "while sampler.has_more():",
      "    for batch in loader:",
      "        finished = [s for _, s in sampler._held if s.is_finished]",
      "        assert not finished",
      "        trained.extend(batch.tolist())",
      "        drover._here().request('GET', '/job?trained=%d' % len(trained))",
      "print(sorted(trained) == list(range(40)))",
    ].join("\n");
    expect((await run(text)).stdout).to.equal("True\n");
    expect(far.done).to.deep.equal([0, 1, 2, 3]);
    let trained = 0;
    for (const { path } of far.seen) {
      trained = Number(/trained=(\d+)/.exec(path)?.[1] ?? trained);
      const task = /tasks\/(\d+)$/.exec(path)?.[1];
      if (task !== undefined) expect(trained, `records trained with when shard ${task} was done`).to.be.at.least((Number(task) + 1) * 10);
    }
  });
});
