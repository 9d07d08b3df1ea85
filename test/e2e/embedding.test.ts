/** Drover inside someone's program: the examples, and what a library must not do. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { droverPath, python } from "./drover-process.js";

const root = join(dirname(droverPath), "../..");
const linesMax = 40;

describe("embedding", function () {
  this.timeout(240_000);
  let folder: string;

  beforeEach(() => (folder = mkdtempSync(join(tmpdir(), "drover-embedding-"))));
  afterEach(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  const script = (text: string): string => {
    const path = join(folder, "script.py");
    writeFileSync(path, text);
    return path;
  };
  const run = (program: string, args: readonly string[] = []): string => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8", cwd: folder, timeout: 50_000 });
    expect(status, `${stdout}${stderr}`).to.equal(0);
    expect(stderr).to.equal("");
    return stdout;
  };
  /** Runs a program that has `startJob` and these names at hand. */
  const runText = (text: string, ...args: readonly string[]): string => {
    const path = join(folder, "program.mjs");
    writeFileSync(path, `import { startJob, BoundaryError } from ${JSON.stringify(join(root, "lib/index.js"))};\nconst [home, python, script] = process.argv.slice(2);\n${text}`);
    return run(path, [join(folder, "home"), python, ...args]);
  };
  const job = `const jobNamed = (name) => startJob({ name, roles: [{ nprocPerNode: 2, entrypoint: { target: script, python } }], cwd: process.cwd(), env: { PATH: process.env.PATH } }, { home });\n`;

  it("of a job is an example of at most 40 lines, which runs", () => {
    expect(readFileSync(join(root, "examples/embed-job.ts"), "utf8").split("\n").length - 1).to.be.at.most(linesMax);
    const printed = run(join(root, "dist/examples/embed-job.js"), [python, script("print('hello')\n")]);
    expect(printed).to.include("master-orchestrator: job-created").and.to.include("job-manager: world-succeeded");
    expect(printed.trim().split("\n").slice(-2)).to.deep.equal(["master-orchestrator: stage-changed", "succeeded: all 2 ranks ended with 0"]);
  });

  it("of the actors is an example of at most 40 lines, which runs", () => {
    expect(readFileSync(join(root, "examples/embed-actors.ts"), "utf8").split("\n").length - 1).to.be.at.most(linesMax);
    expect(run(join(root, "dist/examples/embed-actors.js"))).to.equal("{ total: 5 }\n");
  });

  it("prints nothing, takes no signal, has two jobs at once, and ends when they are closed", () => {
    const printed = runText(
      `${job}const handlers = () => JSON.stringify([process.eventNames().map(String).filter((name) => name.startsWith("SIG")), process.listenerCount("uncaughtException")]);
      const before = handlers();
      const jobs = await Promise.all([jobNamed("one"), jobNamed("two")]);
      const during = handlers();
      const seen = await Promise.all(jobs.map(async (job) => { const types = []; for await (const { type } of job.events()) types.push(type); return types; }));
      const ends = await Promise.all(jobs.map((job) => job.ended));
      await Promise.all(jobs.map((job) => job.close()));
      console.log(JSON.stringify({ isUntouched: before === during && during === handlers(), stages: ends.map(({ stage }) => stage), lasts: seen.map((types) => types.at(-1)), env: process.env.DROVER_HOME ?? null }));`,
      script("import time\nprint('hello')\ntime.sleep(0.3)\n"),
    );
    expect(JSON.parse(printed)).to.deep.equal({ isUntouched: true, stages: ["succeeded", "succeeded"], lasts: ["stage-changed", "stage-changed"], env: null });
  });

  it("closes without ending the job, which the next program takes up", () => {
    const path = script("import os, time\nwhile not os.path.exists('go'): time.sleep(0.05)\n");
    const first = runText(
      `${job}const job = await jobNamed("long");
      for await (const { type } of job.events()) if (type === "ranks-started") break;
      const { ranks } = await (await fetch("http://" + job.address + "/api/v1/job", { headers: { authorization: "Bearer " + (await import("node:fs")).readFileSync(home + "/jobs/long/token", "utf8").trim() } })).json();
      await job.close();
      console.log(ranks.map(({ pid }) => pid).join());`,
      path,
    );
    const pids = first.trim().split(",").map(Number);
    for (const pid of pids) expect(() => process.kill(pid, 0), `rank ${pid}`).not.to.throw();
    const second = runText(
      `${job}const job = await jobNamed("long");
      (await import("node:fs")).writeFileSync("go", "");
      console.log((await job.ended).stage);
      const types = []; for await (const { type } of job.events()) types.push(type);
      console.log(types.filter((type) => type === "ranks-started").length, types.at(-1));
      await job.close();`,
      path,
    );
    expect(second).to.equal("succeeded\n1 stage-changed\n");
  });

  it("refuses a job that cannot be, and names the field", () => {
    const printed = runText(`${job}await jobNamed("no/name").catch((error) => console.log(error instanceof BoundaryError, error.code, error.message));`, "x.py");
    expect(printed).to.match(/^true BAD_JOB_SPEC .*name/);
  });
});
