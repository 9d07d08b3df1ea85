/** `npm test`: sets up what is missing and runs every check. `--only <storey>` runs one: check, tidy, unit, scenario, simulation, e2e, dlrover. */

import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { packages, root, say } from "./set-up.mjs";

const beganMs = performance.now();
const only = process.argv.includes("--only") ? process.argv[process.argv.indexOf("--only") + 1] : null;
const wants = (storey) => only === null || only === storey;
const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed, said again at the end, where it is found. */
const failures = [];
/** Variables of the tests' processes. */
const env = { ...process.env };

/** Minutes and seconds since the beginning. */
function clock() {
  const seconds = Math.round((performance.now() - beganMs) / 1_000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

/** Runs a program of Node's to its end. `keep` gets what it prints, piece by piece. */
function run(args, keep) {
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  child.stdout.on("data", keep);
  return new Promise((resolve) => child.on("close", resolve));
}

async function check(name, script, args) {
  let output = "";
  const code = await run([join(root, "node_modules", script), ...args], (data) => (output += data));
  say(`${clock()} ${name}`);
  process.stdout.write(output);
  total[code === 0 ? "passed" : "failed"]++;
  if (code !== 0) failures.push(`${name}\n${output}`);
}

/** Beside the checks and tests that need no Python: to fetch and unpack torch and DLRover takes minutes. */
async function pythons() {
  let output = "";
  const code = await run([join(root, "scripts", "test-pythons.mjs")], (data) => (output += data));
  const lines = output.trimEnd().split("\n");
  const found = code === 0 ? lines.pop() : null;
  if (lines.length > 0) say(`${clock()} Python\n${lines.join("\n")}`);
  if (found === null) throw new Error("the tests' Python could not be made ready; see above");
  Object.assign(env, JSON.parse(found));
}

async function mocha(name, files, isShownAtTheEnd = false) {
  if (files.length === 0) return;
  if (!isShownAtTheEnd) say(`${clock()} ${name}: ${files.length} files`);
  let output = "";
  const code = await run([join(root, "node_modules", "mocha", "bin", "mocha.js"), "--reporter", "spec", ...files], (data) => {
    if (!isShownAtTheEnd) process.stdout.write(data);
    output += data;
  });
  if (isShownAtTheEnd) process.stdout.write(`\u2022 ${clock()} ${name}\n${output}`);
  const count = (word) => Number(new RegExp(`^\\s+(\\d+) ${word}`, "m").exec(output)?.[1] ?? 0);
  total.passed += count("passing");
  total.skipped += count("pending");
  const failed = count("failing");
  total.failed += code !== 0 && failed === 0 ? 1 : failed;
  if (code !== 0) failures.push(`${name}\n${output.slice(Math.max(0, output.search(/^\s+\d+ failing/m)))}`);
}

const storeyOf = (folder) =>
  readdirSync(join(root, "dist", "test", folder))
    .filter((name) => name.endsWith(".test.js"))
    .sort()
    .map((name) => join("dist", "test", folder, name));

const python = wants("e2e") || wants("dlrover") ? pythons() : Promise.resolve();
python.catch(() => undefined); // Whoever waits for it says so.
packages();
if (wants("check")) {
  await Promise.all([check("types", join("typescript", "bin", "tsc"), ["--noEmit"]), check("lint", join("eslint", "bin", "eslint.js"), ["."])]);
}
if (wants("tidy")) await mocha("tidy", readdirSync(join(root, "dist", "test")).filter((name) => name.endsWith(".test.js")).map((name) => join("dist", "test", name)));
for (const storey of ["unit", "scenario", "simulation"]) if (wants(storey)) await mocha(storey, storeyOf(storey));
await python;
// One process a file: what one leaves behind cannot help or hinder the next.
const nameOf = (file) => `e2e ${file.replace(/.*\/|\.test\.js$/g, "")}`;
const isDlrover = (file) => file.includes("dlrover-");
const isPackage = (file) => file.includes("package");
const [e2e, dlrover] = [storeyOf("e2e").filter((file) => !isDlrover(file)), storeyOf("e2e").filter(isDlrover)];
if (wants("e2e")) for (const file of e2e) if (!isPackage(file)) await mocha(nameOf(file), [file]);
// These hold no times, and run side by side, shown one after the other: DLRover's agents wait much of their time, for polls of 2 and 5 s; the package
// may have to be compiled. Two at a time: each has up to eight agents and ranks, and their imports of torch are what a small machine is busy with.
const beside = [...(wants("dlrover") ? dlrover : []), ...(wants("e2e") ? e2e.filter(isPackage) : [])].values();
const inTurn = async () => {
  for (const file of beside) await mocha(nameOf(file), [file], true);
};
await Promise.all([inTurn(), inTurn()]);

for (const failure of failures) process.stdout.write(`\n\u2717 ${failure}\n`);
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}\n`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
