/** `npm start`: sets up what is missing and trains a real model on two processes, through the whole control plane. */

import { execFileSync, spawn } from "node:child_process";
import { join } from "node:path";
import { packages, pythonWith, root, say } from "./set-up.mjs";

packages();
const python = pythonWith(["torch", "numpy", "sklearn"], ["torch", "numpy", "scikit-learn"]);
say("Training a small network on 1,797 handwritten digits, on two processes; Ctrl-C stops it, npm start goes on where it was");
const drover = join(root, "lib", "bin", "drover.js");
const script = join(root, "examples", "digits", "train.py");
const { jobs } = JSON.parse(execFileSync(process.execPath, [drover, "ps", "--json"], { encoding: "utf8" }));
const isDown = jobs.some(({ job, state }) => job === "digits" && state === "down"); // Everything was killed: it is taken up.
const run = ["run", "--name", "digits", "--nproc-per-node", "2", "--python", python, ...process.argv.slice(2), script];
const args = isDown ? ["resume", "digits"] : run;
const child = spawn(process.execPath, [drover, ...args], { cwd: root, stdio: "inherit" });
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => undefined); // drover answers it.
child.on("exit", (code) => process.exit(code ?? 1));
