/** drover master: a master alone, for DLRover's agents that somebody else starts. */

import { existsSync, mkdirSync } from "node:fs";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { jobDirOf, jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { startWatchedMaster } from "../../src/launch/watchdog.js";
import { followJob } from "../follow-job.js";
import { finalOf, home, makeRoom, stateOf } from "../jobs.js";
import { untilServed } from "../life-watch.js";
import { masterInput } from "../master-options.js";
import { createScreen } from "../screen.js";
import { screenOf } from "../run-options.js";

/** 0: the job succeeded; 1: it failed; 130: Ctrl-C, or SIGTERM. A job of that name that has not ended is taken up where it was. */
export async function master(options: Readonly<Record<string, unknown>>): Promise<number> {
  const input = masterInput(options, process.env, process.cwd());
  const isJson = options["json"] === true;
  let dir = jobDirOf(home(), input.name);
  const isKnown = existsSync(jobFiles(dir).spec) && finalOf(dir) === null;
  if (!isKnown) {
    dir = makeRoom(input.name);
    mkdirSync(dir, { recursive: true, mode: 0o700 });
    writeJson(jobFiles(dir).spec, resolveSpec(input, jobFiles(dir).logs));
  }
  const wasLive = isKnown && stateOf(dir) === "live";
  if (!wasLive) await startWatchedMaster(dir);
  const served = await untilServed(dir);
  const screen = createScreen(isJson);
  if (served) {
    const { address } = served.master;
    screen.record("serving", { job: input.name, address, isTakenUp: isKnown });
    screen.say(`${input.name} ${wasLive ? "is served already" : isKnown ? "is taken up" : "waits for its agents"} at ${address}`);
    screen.say(`start agents with DLROVER_MASTER_ADDR=${address} NODE_RANK=<0…> NODE_ID=<0…> dlrover-run …`);
  }
  const code = await followJob(dir, { isDetached: options["detach"] === true, isJson, screen: screenOf(null, null, null), notes: [] });
  return code === 0 || code === 130 ? code : 1;
}
