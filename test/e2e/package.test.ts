/** The package as users get it: packed, installed into an empty prefix, run from another folder, imported by a program. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect } from "chai";
import { droverPath } from "./drover-process.js";

const root = join(dirname(droverPath), "../..");

describe("the package", function () {
  this.timeout(600_000);
  const folder = mkdtempSync(join(tmpdir(), "drover-package-"));
  const prefix = join(folder, "prefix");
  const elsewhere = join(folder, "elsewhere");
  const env = { ...process.env, DROVER_HOME: join(folder, "home"), npm_config_update_notifier: "false", JOBS: "max" };
  const call = (command: string, args: readonly string[], cwd = elsewhere): string =>
    spawned(command, args, cwd);
  const spawned = (command: string, args: readonly string[], cwd: string): string => {
    const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: "utf8" });
    expect(status, `${command} ${args.join(" ")}\n${stdout}${stderr}`).to.equal(0);
    return stdout;
  };
  let files: string[] = [];

  before(() => {
    // A copy of what git knows: packing builds lib/ afresh, which other tests run meanwhile.
    const copy = join(folder, "copy");
    const known = call("git", ["ls-files", "--cached", "--others", "--exclude-standard"], root).split("\n").filter((path) => path !== "");
    for (const path of known) {
      mkdirSync(dirname(join(copy, path)), { recursive: true });
      cpSync(join(root, path), join(copy, path), { recursive: true });
    }
    symlinkSync(join(root, "node_modules"), join(copy, "node_modules"));
    mkdirSync(elsewhere);
    const [packed] = JSON.parse(call("npm", ["pack", "--json", "--pack-destination", folder], copy).replace(/^[^[]*/, "")) as [{ filename: string; files: { path: string }[] }];
    files = packed.files.map(({ path }) => path);
    call("npm", ["install", "--global", "--prefix", prefix, "--no-audit", "--no-fund", "--loglevel=error", join(folder, packed.filename)]);
  });
  after(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }));

  it("holds what runs, its types and its Python, and nothing of tests or caches", () => {
    for (const path of ["lib/bin/drover.js", "lib/index.js", "lib/index.d.ts", "python/drover/__init__.py", "python/drover_nursery/__main__.py", "README.md", "LICENSE", "CHANGELOG.md", "docs/cli.md"]) {
      expect(files).to.include(path);
    }
    expect(files.filter((path) => /\.pyc$|__pycache__|\.test\.|^test\/|^dist\/|\.map$|\.egg-info/.test(path))).to.deep.equal([]);
  });

  it("runs a job from another folder", () => {
    writeFileSync(join(elsewhere, "hello.py"), "import os\nprint('hello from', os.environ['RANK'], 'of', os.environ['WORLD_SIZE'], 'in', os.path.basename(os.getcwd()))\n");
    const drover = join(prefix, "bin", "drover");
    const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { version: string };
    expect(call(drover, ["--version"]).trim()).to.equal(version);
    const output = call(drover, ["run", "--nproc-per-node", "2", "hello.py"]);
    expect(output).to.include("[rank 0] hello from 0 of 2 in elsewhere").and.to.include("[rank 1] hello from 1 of 2 in elsewhere");
    expect(JSON.parse(call(drover, ["status", "--json"]))).to.include({ stage: "succeeded" });
  });

  it("is imported by a program, with types", () => {
    const modules = join(elsewhere, "node_modules");
    mkdirSync(modules);
    symlinkSync(join(prefix, "lib", "node_modules", "drover"), join(modules, "drover"));
    const program = `import { ActorSystem, type Ask, BoundaryError, type HistoryEvent, type Job, startJob } from "drover";
      type Message = Ask<"add", { amount: number }, { total: number }>;
      const system = new ActorSystem();
      const total = async (): Promise<number> => (await system.ref<Message>("nobody").ask({ type: "add", amount: 2 })).total;
      const events = async (job: Job): Promise<HistoryEvent[]> => { const seen = []; for await (const event of job.events()) seen.push(event); return seen; };
      await startJob({ name: "no/name", roles: [], cwd: "/", env: {} }).catch((error: unknown) => console.log(error instanceof BoundaryError ? error.code : error));
      await system.close();
      export { events, total };\n`;
    writeFileSync(join(elsewhere, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(elsewhere, "program.ts"), program);
    const compiler = join(root, "node_modules", "typescript", "bin", "tsc");
    call(process.execPath, [compiler, "--strict", "--target", "es2022", "--module", "nodenext", "--skipLibCheck", "false", "--types", "node", "--typeRoots", join(root, "node_modules", "@types"), "program.ts"]);
    expect(call(process.execPath, ["program.js"]).trim()).to.equal("BAD_JOB_SPEC");
  });
});
