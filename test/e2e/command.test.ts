/** The command as programs and shells meet it: its lines of JSON, its exit codes, what it says of a wrong call. docs/cli.md says the same. */

import { expect } from "chai";
import { DroverHome } from "./drover-process.js";

type Line = { type: string; text?: string; name?: string; rank?: number; stage?: string; dir?: string };

describe("the command", function () {
  this.timeout(240_000);
  let home: DroverHome;

  before(() => {
    home = new DroverHome();
  });
  after(() => home.close());

  const linesOf = (stdout: string): Line[] => stdout.trimEnd().split("\n").map((line) => JSON.parse(line) as Line);

  it("prints one JSON object a line with --json: notes, events, output, the end", async () => {
    const args = ["--json", "--name", "j", "--max-restarts", "0", "--rdzv-backend", "c10d", "--no-python", "sh", "-c", "echo hello; exit 7"];
    const { code, stdout, stderr } = await home.call(["run", ...args]);
    expect(code, stderr).to.equal(7);
    expect(stderr).to.equal("");
    const lines = linesOf(stdout);
    expect([...new Set(lines.map(({ type }) => type))].sort()).to.deep.equal(["end", "event", "note", "output"]);
    expect(lines[0]).to.deep.equal({ type: "note", text: "--rdzv-backend means nothing here: the master is the rendezvous." });
    expect(lines.filter(({ type }) => type === "output")).to.deep.equal([{ type: "output", round: 1, rank: 0, stream: "out", text: "hello" }]);
    expect(lines.filter(({ type, name }) => type === "event" && name === "rank-failed")).to.have.length(1);
    expect(lines.at(-1)).to.include({ type: "end", job: "j", stage: "failed" });
  });

  it("ends with 0 for a job that succeeds, and with 128 and the signal for a rank that was killed", async () => {
    const run = ["run", "--no-python", "--max-restarts", "0"];
    const [well, killed] = await Promise.all([home.call([...run, "--name", "well", "true"]), home.call([...run, "--name", "killed", "sh", "-c", "kill -9 $$"])]);
    expect([well.code, killed.code]).to.deep.equal([0, 137]);
  });

  it("returns at once with --detach; stop ends it, and there is nothing to resume of what succeeded", async () => {
    const { code, stdout } = await home.call(["run", "--json", "--detach", "--name", "d", "--no-python", "sleep", "600"]);
    expect(code).to.equal(0);
    expect(linesOf(stdout)[0]).to.include({ type: "detached", job: "d" });
    const twice = await home.call(["run", "--name", "d", "--no-python", "true"]);
    expect([twice.code, twice.stderr]).to.deep.equal([1, "drover: the job d runs. drover status d shows it; drover stop d ends it.\n"]);
    const stopped = await home.call(["stop", "d", "--json"]);
    expect([stopped.code, stopped.stdout]).to.deep.equal([0, '{"job":"d","stage":"stopped"}\n']);
    const resumed = await home.call(["resume", "well", "--json"]);
    expect([resumed.code, (JSON.parse(resumed.stdout) as { error: { code: string } }).error.code]).to.deep.equal([1, "JOB_ENDED"]);
  });

  it("ends with 2 for a wrong call, and says what is allowed", async () => {
    for (const [args, said] of [
      [["run", "no-such.py"], "there is no script"],
      [["run", "--nnodes", "3:1", "--no-python", "true"], "N or MIN:MAX with 1 ≤ MIN ≤ MAX"],
      [["run", "--nosuch", "x"], "unknown option '--nosuch'"],
      [["scale", "many"], "a whole number from 1"],
      [["nosuch"], "unknown command 'nosuch'"],
    ] as const) {
      const { code, stderr } = await home.call(args);
      expect(code, stderr).to.equal(2);
      expect(stderr).to.include(said);
    }
    const { code, stdout } = await home.call(["run", "--json", "--nproc-per-node", "x", "--no-python", "true"]);
    expect(code).to.equal(2);
    expect(JSON.parse(stdout)).to.have.nested.include({ "error.code": "USAGE", "error.value": "x" });
  });
});
