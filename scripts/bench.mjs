/** `npm run bench [names…]`: measures, prints a table and writes bench-results/<time>.json. `npm run soak` runs the long kill loops. */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { packages, pythonWith, pythonWithDlrover, root, say } from "./set-up.mjs";

if (!process.execArgv.includes("--expose-gc")) {
  const again = spawnSync(process.execPath, ["--expose-gc", ...process.argv.slice(1)], { stdio: "inherit" });
  process.exit(again.status ?? 1);
}
packages();
process.env.DROVER_TEST_PYTHON = pythonWith(["torch"], ["torch"]);
process.env.DROVER_DLROVER_PYTHON = pythonWithDlrover(process.env.DROVER_TEST_PYTHON);

const isSoak = process.argv.includes("--soak");
const wanted = process.argv.slice(2).filter((name) => !name.startsWith("--"));
const files = readdirSync(join(root, "dist", "benchmarks")).filter((name) =>
  isSoak ? /^soak-.*\.js$/.test(name) : /^(runtime|store|job|dlrover)-.*\.js$/.test(name) && name !== "job-runs.js",
);
const figures = [];
const notMeasured = [];
for (const file of files) {
  const name = file.replace(/\.js$/, "");
  if (wanted.length > 0 && !wanted.some((part) => name.includes(part))) continue;
  say(name);
  try {
    const { run } = await import(join(root, "dist", "benchmarks", file));
    figures.push(...(await run()));
  } catch (error) {
    notMeasured.push(`${name}: ${error.message}`);
  }
}

const { default: Table } = await import("cli-table3");
const { isReached } = await import(join(root, "dist", "benchmarks", "figure.js"));
const short = (value) => (value === null ? "-" : value >= 1000 ? Math.round(value).toLocaleString("en") : value.toPrecision(3));
const table = new Table({ head: ["figure", "median", "unit", "spread", "n", "reference", "ratio", "must reach", ""], style: { head: [], border: [] } });
for (const figure of figures) {
  const { name, value, unit, spread, n, reference, ratio, mustReach } = figure;
  const bound = [mustReach.atLeast === undefined ? "" : `≥ ${mustReach.atLeast}`, mustReach.atMost === undefined ? "" : `≤ ${mustReach.atMost}`].join("");
  const against = reference ? `${reference.name}: ${short(reference.value)}` : "-";
  table.push([name, short(value), unit, spread.map(short).join("…"), n, against, short(ratio), bound, isReached(figure) ? "yes" : "NO"]);
}
const machine = { cpu: cpus()[0]?.model, cores: cpus().length, memoryGiB: Math.round(totalmem() / 2 ** 30), node: process.versions.node, at: new Date().toISOString() };
process.stdout.write(`${table.toString()}\n${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, Node ${machine.node}\n`);
process.stdout.write(`Not measured: ${notMeasured.length === 0 ? "nothing was left out" : notMeasured.join("; ")}. Constants are named as such in the table.\n`);
mkdirSync(join(root, "bench-results"), { recursive: true });
const path = join(root, "bench-results", `${machine.at.replaceAll(":", "-")}.json`);
writeFileSync(path, `${JSON.stringify({ machine, figures, notMeasured }, null, 2)}\n`);
process.stdout.write(`${path}\n`);
process.exit(figures.every(isReached) && notMeasured.length === 0 ? 0 : 1);
