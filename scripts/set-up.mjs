/**
 * Makes a fresh clone ready, and does nothing where it is: npm packages, dist/ and lib/, and a Python with torch.
 *
 * No dependency but Node: this runs before there are any.
 */

import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = join(dirname(fileURLToPath(import.meta.url)), "..");

/** The last build of torch that was tried with Drover; where it is not to be had, the newest CPU build will do. */
const torch = "torch==2.13.0";
const cpuBuilds = "https://download.pytorch.org/whl/cpu";

export function say(text) {
  process.stdout.write(`\u2022 ${text}\n`);
}

function run(command, args, options = {}) {
  execFileSync(command, args, { cwd: root, stdio: "inherit", ...options });
}

/** npm packages as package-lock.json has them, and what is built of the sources. */
export function packages() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) throw new Error(`Node ${process.versions.node} is too old: install 20.19 or newer.`);
  const lock = join(root, "package-lock.json");
  const mark = join(root, "node_modules", ".drover-lock");
  const wanted = readFileSync(lock, "utf8");
  if (!existsSync(mark) || readFileSync(mark, "utf8") !== wanted) {
    say("Installing npm packages");
    run("npm", ["ci", "--no-audit", "--no-fund"], { env: { ...process.env, JOBS: "max" } }); // Where native packages have to be compiled.
    writeFileSync(mark, wanted);
  }
  say("Building");
  run(process.execPath, [join("scripts", "build.mjs")]);
}

/** Found, not imported: torch alone would take seconds, at every start. */
function has(python, modules) {
  const look = "import sys, importlib.util as u; sys.exit(any(u.find_spec(name) is None for name in sys.argv[1:]))";
  return spawnSync(python, ["-c", look, ...modules], { stdio: "ignore" }).status === 0;
}

/** An interpreter that has these modules: the machine's own, else one in `.venv`, made when it is not there. */
export function pythonWith(modules, packagesOf) {
  const own = process.env.DROVER_TEST_PYTHON ?? "python3";
  if (has(own, modules)) return spawnSync(own, ["-c", "import sys; print(sys.executable)"], { encoding: "utf8" }).stdout.trim();
  const python = join(root, ".venv", "bin", "python");
  if (existsSync(python) && has(python, modules)) return python;
  if (!existsSync(python)) {
    say("Making a Python environment in .venv");
    run("python3", ["-m", "venv", ".venv"]);
  }
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
  if (modules.includes("torch") && !has(python, ["torch"])) {
    say(`Installing ${torch} (CPU)`);
    if (spawnSync(python, [...pip, torch], { cwd: root, stdio: "inherit" }).status !== 0) {
      say("That build is not to be had here; taking the newest CPU build");
      run(python, [...pip, "torch", "--index-url", cpuBuilds]);
    }
  }
  const others = packagesOf.filter((name) => !name.startsWith("torch"));
  if (others.length > 0) {
    say(`Installing ${others.join(", ")}`);
    run(python, [...pip, ...others]);
  }
  if (!has(python, modules)) throw new Error(`.venv still lacks one of ${modules.join(", ")}; remove .venv and try again.`);
  return python;
}


/** The newest release of DLRover that its agents were tried with. */
const dlrover = "dlrover[k8s,torch]==0.6.1";

/**
 * An interpreter with the real DLRover, for its agents in tests: DROVER_DLROVER_PYTHON, else one in `.venv-dlrover`, made when it is not there. It sees the
 * packages of `python`, torch among them, so that they are not installed twice.
 */
export function pythonWithDlrover(python) {
  const named = process.env.DROVER_DLROVER_PYTHON;
  if (named) return named;
  const own = join(root, ".venv-dlrover", "bin", "python");
  if (existsSync(own) && has(own, ["dlrover", "torch", "grpc"])) return own;
  say("Making a Python environment with DLRover in .venv-dlrover");
  run(python, ["-m", "venv", ".venv-dlrover"]);
  const folder = (interpreter) => spawnSync(interpreter, ["-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], { encoding: "utf8" }).stdout.trim();
  writeFileSync(join(folder(own), "packages-of-drover.pth"), `${folder(python)}\n`);
  run(own, ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", dlrover, "protobuf"]);
  return own;
}
