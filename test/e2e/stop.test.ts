/** How a job is stopped and how it fails, with real processes: exit codes, grace, and that nothing stays behind. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DroverHome, ddpTrain, python, waitFor } from "./drover-process.js";

describe("the end of a job", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const script = (name: string, text: string): string => {
    const path = join(home.path, name);
    writeFileSync(path, text);
    return path;
  };
  const run = (...args: string[]): ReturnType<DroverHome["start"]> =>
    home.start(["run", "--name", "j", "--python", python, "--keep-warm", "0", ...args]);
  const isClean = (): Promise<true> =>
    waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 15_000);
  const begins = (text: string, child: ReturnType<DroverHome["start"]>["child"]): Promise<void> =>
    new Promise((resolve) => {
      let seen = "";
      child.stdout?.on("data", (data: Buffer) => {
        seen += data.toString();
        if (seen.includes(text)) resolve();
      });
    });

  it("is 0 for a script that runs to its end", async () => {
    const { finished } = run("--no-warm", script("ok.py", "print('fine')\n"));
    const end = await finished;
    expect(end.code, end.stderr).to.equal(0);
    expect(end.stdout).to.include("fine");
    await isClean();
  });

  it("is the failed rank's own code, with its traceback last on the screen", async () => {
    const { finished } = run("--no-warm", "--max-restarts", "0", "--nproc-per-node", "2", script("bad.py", "import os\nif os.environ['RANK'] == '1':\n    raise SystemExit(7)\nimport time; time.sleep(60)\n"));
    const end = await finished;
    expect(end.code, end.stderr).to.equal(7);
    await isClean();
  });

  it("shows the first failed rank and its traceback", async () => {
    const { finished } = run("--max-restarts", "0", "--nproc-per-node", "2", ddpTrain, "--out", home.out, "--fail-at", "2:1:raise");
    const end = await finished;
    expect(end.code, end.stderr).to.equal(1);
    const screen = (end.stderr + end.stdout).trimEnd().split("\n").slice(-25).join("\n");
    expect(screen).to.match(/rank 1/);
    expect(screen).to.include("ValueError: asked to fail at step 2");
    await isClean();
  });

  it("is 130 after one Ctrl-C, and the ranks had their grace", async () => {
    const path = script("grace.py", "import signal, sys, time\ndef bye(*_):\n    print('said goodbye', flush=True)\n    sys.exit(0)\nsignal.signal(signal.SIGTERM, bye)\nprint('began', flush=True)\nwhile True: time.sleep(0.1)\n");
    const { child, finished } = run("--no-warm", path);
    await begins("began", child);
    child.kill("SIGINT");
    const end = await finished;
    expect(end.code, end.stderr).to.equal(130);
    expect(end.stdout).to.include("said goodbye");
    await isClean();
  });

  it("comes at once after two, and no grandchild stays behind", async () => {
    const path = script("deaf.py", "import os, signal, subprocess, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nsubprocess.Popen(['sleep', '300'], start_new_session=True)\nprint('began', flush=True)\nwhile True: time.sleep(0.1)\n");
    const { child, finished } = run("--no-warm", path);
    await begins("began", child);
    child.kill("SIGINT");
    await new Promise((resolve) => setTimeout(resolve, 100));
    const since = Date.now();
    child.kill("SIGINT");
    const end = await finished;
    expect(end.code, end.stderr).to.equal(130);
    expect(Date.now() - since).to.be.below(5_000);
    await isClean();
  });

  it("ends a command that is not Python, with torchrun's variables set", async () => {
    const { finished } = run("--no-python", "--nproc-per-node", "2", "sh", "-c", "echo rank=$RANK world=$WORLD_SIZE local=$LOCAL_RANK");
    const end = await finished;
    expect(end.code, end.stderr).to.equal(0);
    expect(end.stdout).to.include("rank=0 world=2 local=0").and.to.include("rank=1 world=2 local=1");
    await isClean();
  });
});
