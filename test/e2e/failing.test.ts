/** Jobs that cannot succeed: they end soon, with the reason and the traceback, and not before the budget that they were given is spent. */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "chai";
import { DroverHome, ddpTrain, python, waitFor } from "./drover-process.js";

describe("a job that cannot succeed", function () {
  this.timeout(240_000);
  let home: DroverHome;

  beforeEach(() => {
    home = new DroverHome();
  });
  afterEach(() => home.close());

  const run = (...args: string[]): ReturnType<DroverHome["call"]> =>
    home.call(["run", "--name", "j", "--nproc-per-node", "2", "--keep-warm", "0", "--python", python, ...args]);
  const script = (text: string): string => {
    const path = join(home.path, "bad.py");
    writeFileSync(path, text);
    return path;
  };
  const isClean = (): Promise<true> =>
    waitFor(() => `nothing to be left: ${home.leftovers().join("; ")}`, () => (home.leftovers().length === 0 ? true : undefined), 15_000);
  const lastLines = ({ stdout, stderr }: { stdout: string; stderr: string }): string => (stdout + stderr).trimEnd().split("\n").slice(-12).join("\n");

  it("ends with RESTARTS_SPENT when a rank is killed once more than is allowed", async () => {
    const text = "import os, signal, sys, time\nif os.environ['RANK'] == '1':\n    os.kill(os.getpid(), signal.SIGKILL)\ntime.sleep(60)\n";
    const end = await run("--max-restarts", "2", script(text));
    expect(end.code, end.stderr).to.equal(137);
    const { stage, reason, restarts } = await home.status("j");
    expect([stage, reason?.code, restarts]).to.deep.equal(["failed", "RESTARTS_SPENT", 2]);
    expect(lastLines(end)).to.include("all 2 restarts are spent").and.to.include("rank 1");
    await isClean();
  });

  it("restarts after an error, and goes on from the checkpoint", async () => {
    const end = await run("--max-restarts", "1", ddpTrain, "--out", home.out, "--fail-at", "3:0:raise", "--steps", "6");
    expect(end.code, end.stderr).to.equal(0);
    expect((await home.status("j")).restarts).to.equal(1);
    home.expectWhole(6);
    await isClean();
  });

  it("ends soon when a script fails at once, with its traceback, whatever the budget", async () => {
    const sinceMs = Date.now();
    const end = await run("--max-restarts", "100", script("import os\nprint('began', flush=True)\nraise KeyError('no such column')\n"));
    expect(Date.now() - sinceMs).to.be.below(20_000);
    expect(end.code, end.stderr).to.equal(1);
    expect(lastLines(end)).to.include("Traceback (most recent call last)").and.to.include("KeyError: 'no such column'");
    expect((await home.status("j")).reason?.code).to.equal("RANK_FAILED");
    expect((await home.status("j")).restarts, "restarts").to.be.at.most(1);
    await isClean();
  });

  it("ends at once when a script cannot even be read, or lacks a module", async () => {
    for (const [text, said] of [["def broken(:\n", "SyntaxError"], ["import no_such_module_at_all\n", "ModuleNotFoundError: No module named 'no_such_module_at_all'"]] as const) {
      const end = await home.call(["run", "--nproc-per-node", "2", "--no-warm", "--python", python, script(text)]);
      expect(end.code, end.stderr).to.equal(1);
      expect(lastLines(end)).to.include(said);
    }
    await isClean();
  });
});
