/** The example that `npm start` runs: real images, a real model, and every image of every epoch trained with once, whatever is killed. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { DroverHome, type Finished, python, waitFor } from "./drover-process.js";

const script = fileURLToPath(new URL("../../../examples/digits/train.py", import.meta.url));
const epochs = 20;
/** 1,437 images in shards of 32. */
const shardsPerEpoch = 45;

type Shard = { epoch: number; index: number };
type ShardEvent =
  | { type: "shard-leased"; lease: Shard & { taskId: number } }
  | { type: "shard-finished"; taskId: number }
  | { type: "dataset-restored"; progress: { epoch: number; next: number; returned: Shard[]; leases: Shard[] } };

describe("the digits", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const run = (): ReturnType<DroverHome["start"]> =>
    home.start(["run", "--name", "j", "--nproc-per-node", "2", "--keep-warm", "1m", "--python", python, script, "--out", home.out, "--step-seconds", "0.002"]);
  const printed = (rank: number): string => {
    const logs = join(home.path, "jobs/j/logs");
    if (!existsSync(logs)) return "";
    return readdirSync(logs).map((round) => readText(join(logs, round, `rank-${rank}.out`))).join("");
  };
  const hasBegun = (epoch: number): Promise<true> =>
    waitFor(`epoch ${epoch}`, () => (printed(0).includes(`epoch ${epoch} of ${epochs}`) ? true : undefined));
  const accuracyOf = ({ stdout }: Finished): number => Number(/accuracy (0\.\d+) on 360 images/.exec(stdout)?.[1]);
  const killEverything = (): Promise<true> =>
    waitFor(() => `everything to be dead: ${home.leftovers().join("; ")}`, () => (home.killLeftovers() === 0 ? true : undefined));

  /** How often each shard was trained with, as far as the model still knows of it: a restored checkpoint takes back what came after it. */
  const trained = async (): Promise<Map<string, number>> => {
    const { stdout } = await home.call(["events", "j", "--type", "shard-leased,shard-finished,dataset-restored", "--json"]);
    const tasks = new Map<number, string>();
    let done = new Map<string, number>();
    for (const line of stdout.trim().split("\n")) {
      const { event } = JSON.parse(line) as { event: ShardEvent };
      if (event.type === "shard-leased") tasks.set(event.lease.taskId, `${event.lease.epoch}:${event.lease.index}`);
      else if (event.type === "shard-finished") {
        const shard = tasks.get(event.taskId) ?? "";
        done.set(shard, (done.get(shard) ?? 0) + 1);
      } else {
        const { epoch, next, returned, leases } = event.progress;
        const open = new Set([...returned, ...leases].map((shard) => `${shard.epoch}:${shard.index}`));
        const isBefore = (shard: string): boolean => {
          const [shardEpoch = 0, index = 0] = shard.split(":").map(Number);
          return !open.has(shard) && (shardEpoch < epoch || (shardEpoch === epoch && index < next));
        };
        done = new Map([...done].filter(([shard]) => isBefore(shard)));
      }
    }
    return done;
  };
  const expectAllOnce = async (): Promise<void> => {
    const done = await trained();
    expect([...done].filter(([, times]) => times !== 1)).to.deep.equal([]);
    expect(done.size).to.equal(epochs * shardsPerEpoch);
  };

  it("are learnt with every image of every epoch once, though a rank is killed", async () => {
    const { finished } = run();
    await hasBegun(5);
    const [, victim] = (await home.status("j")).ranks;
    process.kill(victim?.pid ?? 0, "SIGKILL");
    const end = await finished;
    expect(end.code, end.stderr + end.stdout).to.equal(0);
    expect(accuracyOf(end)).to.be.above(0.95);
    expect(end.stdout).to.include("going on from step ");
    expect((await home.status("j")).restarts).to.equal(1);
    await expectAllOnce();
  });

  it("go on from the checkpoint after Ctrl-C, and after everything was killed", async () => {
    const first = run();
    await hasBegun(3);
    first.child.kill("SIGINT");
    expect((await first.finished).code).to.equal(130);

    const second = home.start(["resume", "j"]);
    await hasBegun(9);
    second.child.kill("SIGKILL");
    await killEverything();

    const end = await home.call(["resume", "j"]);
    expect(end.code, end.stderr + end.stdout).to.equal(0);
    expect(end.stdout).to.match(/going on from step [1-9]\d\d\n/);
    expect(accuracyOf(end)).to.be.above(0.95);
    await expectAllOnce();
    expect((await home.call(["stop", "--warm"])).code).to.equal(0);
    await waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 15_000);
  });
});

function readText(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
