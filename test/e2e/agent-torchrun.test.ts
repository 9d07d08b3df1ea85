/** A rank of Drover beside a rank of the real torchrun: the same script, the same command line, the same view of the world. */

import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { DroverHome, outputOf, python } from "./drover-process.js";

type Seen = { env: Record<string, string>; argv: string[]; cwd: string; name: string; path: string[]; file: string };

const describeItself = [
  "import json, os, sys",
  "seen = {'env': dict(os.environ), 'argv': sys.argv, 'cwd': os.getcwd(), 'name': __name__, 'path': sys.path, 'file': __file__}",
  "json.dump(seen, open(f\"{sys.argv[1]}-{os.environ['RANK']}\", 'w'))",
];
/** Of the same form only. */
const chosenByEach = ["MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_ERROR_FILE", "TORCHELASTIC_RUN_ID"];
/** What Drover has beyond: its own variables, and DLRover's. */
const added = /^(DROVER_|DLROVER_|JOB_NAME$|NODE_(ID|RANK|NUM|TYPE)$)/;

describe("a rank beside torchrun's", function () {
  this.timeout(240_000);
  let home: DroverHome;

  before(() => {
    home = new DroverHome();
    writeFileSync(join(home.path, "train.py"), describeItself.join("\n"));
  });
  after(() => home.close());

  const flags = ["--nproc-per-node", "2", "--max-restarts", "2"];
  const env = { DROVER_HOME: "", DROVER_TEST_PYTHON: "", MARK: "kept, as it is", NO_COLOR: "1" };
  const seenBy = (who: string, rank: number): Seen => JSON.parse(readFileSync(join(home.path, `${who}-${rank}`), "utf8")) as Seen;

  before(async () => {
    const torchrun = join(dirname(python), "torchrun");
    const script = [join(home.path, "train.py"), join(home.path, "torchrun"), "--lr", "0.1"];
    await outputOf("/usr/bin/env", ["-C", home.path, ...Object.entries(env).map(([key, value]) => `${key}=${value}`), torchrun, "--standalone", ...flags, ...script]);
  });

  for (const mode of ["warm", "cold"] as const) {
    it(`finds the same variables, arguments, folder and paths (${mode})`, async () => {
      const { code, stdout, stderr } = await home.start(
        ["run", "--name", mode, "--python", python, ...(mode === "cold" ? ["--no-warm"] : []), ...flags, "train.py", join(home.path, mode), "--lr", "0.1"],
        { ...env, DROVER_HOME: home.path },
      ).finished;
      expect(code, stderr + stdout).to.equal(0);
      for (const rank of [0, 1]) {
        const [theirs, ours] = [seenBy("torchrun", rank), seenBy(mode, rank)];
        expect(Object.keys(ours.env).filter((name) => !added.test(name)), "names").to.have.members(Object.keys(theirs.env).filter((name) => !added.test(name)));
        for (const [name, value] of Object.entries(theirs.env)) {
          if (!chosenByEach.includes(name) && !added.test(name)) expect(ours.env[name], name).to.equal(value);
        }
        expect(ours.env["MASTER_PORT"]).to.match(/^\d+$/);
        expect(ours.argv.slice(2)).to.deep.equal(theirs.argv.slice(2));
        expect([ours.cwd, ours.name, ours.path]).to.deep.equal([theirs.cwd, theirs.name, theirs.path]);
      }
    });
  }
});
