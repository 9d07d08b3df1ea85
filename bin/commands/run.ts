/** drover run: begins a job and follows it. */

import { mkdirSync } from "node:fs";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { startWatchedMaster } from "../../src/launch/watchdog.js";
import { ensureZygote, zygoteWish } from "../../src/launch/zygote.js";
import { checkDlrover } from "../dlrover-flags.js";
import { home, makeRoom } from "../jobs.js";
import { runRequest } from "../run-options.js";

export async function run(script: string, args: readonly string[], options: Readonly<Record<string, unknown>>): Promise<number> {
  const request = runRequest(script, args, options, process.env, process.cwd());
  const isDlrover = request.input.agents?.kind === "dlrover";
  if (isDlrover) for (const { entrypoint } of request.input.roles) checkDlrover(entrypoint.python ?? "");
  const dir = makeRoom(request.input.name);
  const files = jobFiles(dir);
  const spec = resolveSpec({ ...request.input, ...(request.logDir === null ? {} : { logs: { dir: request.logDir } }) }, files.logs);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  writeJson(files.spec, spec);
  for (const role of spec.roles) {
    const wish = zygoteWish(home(), spec, role);
    // The import of torch overlaps the start of the master. If it fails, the agent says so and starts the ranks cold.
    if (wish) ensureZygote(wish).then((zygote) => zygote.close(), () => undefined);
  }
  await startWatchedMaster(dir);
  const { followJob } = await import("../follow-job.js"); // Loaded while the master starts.
  return followJob(dir, request);
}
