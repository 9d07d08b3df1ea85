/** `npm test`: sets up what is missing and runs every check. `--only <storey>` runs one: check, tidy, unit, scenario, simulation, e2e. */

import { spawn, spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { packages, pythonWith, pythonWithDlrover, root, say } from "./set-up.mjs";

packages();
const python = pythonWith(["torch", "numpy", "sklearn"], ["torch", "numpy", "scikit-learn", "py-spy"]);
const only = process.argv.includes("--only") ? process.argv[process.argv.indexOf("--only") + 1] : null;
const env = { ...process.env, DROVER_TEST_PYTHON: python, DROVER_DLROVER_PYTHON: pythonWithDlrover(python) };
const total = { passed: 0, failed: 0, skipped: 0 };
/** What failed, said again at the end, where it is found. */
const failures = [];

function check(name, script, args) {
  say(name);
  const { status } = spawnSync(process.execPath, [join(root, "node_modules", script), ...args], { cwd: root, stdio: "inherit" });
  total[status === 0 ? "passed" : "failed"]++;
  if (status !== 0) failures.push(name);
}

function mocha(name, files, isShownAtTheEnd = false) {
  if (files.length === 0) return Promise.resolve();
  if (!isShownAtTheEnd) say(`${name}: ${files.length} files`);
  const args = [join(root, "node_modules", "mocha", "bin", "mocha.js"), "--reporter", "spec", ...files];
  const child = spawn(process.execPath, args, { cwd: root, env, stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (data) => {
    if (!isShownAtTheEnd) process.stdout.write(data);
    output += data;
  });
  return new Promise((resolve) => {
    child.on("close", (code) => {
      if (isShownAtTheEnd) process.stdout.write(`\u2022 ${name}\n${output}`);
      const count = (word) => Number(new RegExp(`^\\s+(\\d+) ${word}`, "m").exec(output)?.[1] ?? 0);
      total.passed += count("passing");
      total.skipped += count("pending");
      const failed = count("failing");
      total.failed += code !== 0 && failed === 0 ? 1 : failed;
      if (code !== 0) failures.push(`${name}\n${output.slice(Math.max(0, output.search(/^\s+\d+ failing/m)))}`);
      resolve();
    });
  });
}

const storeyOf = (folder) =>
  readdirSync(join(root, "dist", "test", folder))
    .filter((name) => name.endsWith(".test.js"))
    .sort()
    .map((name) => join("dist", "test", folder, name));

const wants = (storey) => only === null || only === storey;
if (wants("check")) {
  check("types", join("typescript", "bin", "tsc"), ["--noEmit"]);
  check("lint", join("eslint", "bin", "eslint.js"), ["."]);
}
if (wants("tidy")) await mocha("tidy", readdirSync(join(root, "dist", "test")).filter((name) => name.endsWith(".test.js")).map((name) => join("dist", "test", name)));
for (const storey of ["unit", "scenario", "simulation"]) if (wants(storey)) await mocha(storey, storeyOf(storey));
// One process a file: what one leaves behind cannot help or hinder the next.
const nameOf = (file) => `e2e ${file.replace(/.*\/|\.test\.js$/g, "")}`;
const isDlrover = (file) => file.includes("dlrover-");
if (wants("e2e")) for (const file of storeyOf("e2e")) if (!isDlrover(file)) await mocha(nameOf(file), [file]);
// DLRover's agents wait most of their time, for polls of 2 and 5 s: these files run side by side, and are shown one after the other.
// Not all at once: each has up to eight agents and ranks, and their imports of torch are what a small machine is busy with.
if (wants("e2e")) {
  const files = storeyOf("e2e").filter(isDlrover).values();
  const inTurn = async () => {
    for (const file of files) await mocha(nameOf(file), [file], true);
  };
  await Promise.all([inTurn(), inTurn(), inTurn()]);
}

for (const failure of failures) process.stdout.write(`\n\u2717 ${failure}\n`);
process.stdout.write(`\n${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}\n`);
process.exit(total.failed === 0 && total.passed > 0 ? 0 : 1);
