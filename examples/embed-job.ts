/** A training job inside one's own program: typed events, the outcome, a clean close. Usage: node embed-job.js python script */

import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startJob } from "../index.js";

const [python = "/usr/bin/python3", script = "train.py"] = process.argv.slice(2);

const job = await startJob(
  {
    name: "embedded",
    roles: [{ nprocPerNode: 2, entrypoint: { target: script, python } }],
    cwd: process.cwd(),
    env: { PATH: process.env["PATH"] ?? "" },
  },
  { home: mkdtempSync(join(tmpdir(), "drover-embedded-")) },
);

for await (const event of job.events()) console.log(`${event.actor}: ${event.type}`);

const end = await job.ended;
console.log(`${end.stage}: ${end.reason?.message ?? "no reason"}`);
await job.close();
