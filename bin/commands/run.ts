/** drover run: begins a job and follows it. */

import { mkdirSync } from "node:fs";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import { jobFiles, writeJson } from "../../src/launch/job-folder.js";
import { spawnWatchedMaster } from "../../src/launch/watchdog.js";
import { ensureZygote, zygoteWish } from "../../src/launch/zygote.js";
import { exitCodeOf, failureText } from "../failure-text.js";
import { Follower } from "../follow.js";
import { home, makeRoom, specOf } from "../jobs.js";
import { type ScreenChoice, runRequest } from "../run-options.js";
import { createScreen } from "../screen.js";

export async function run(script: string, args: readonly string[], options: Readonly<Record<string, unknown>>): Promise<number> {
  const request = runRequest(script, args, options, process.env, process.cwd());
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
  spawnWatchedMaster(dir);
  return follow(dir, request);
}

/** Follows a job that was begun, in the way that the flags ask for; with `resume`, from where it is resumed by that call. */
export async function follow(
  dir: string,
  request: Readonly<{ isDetached: boolean; isJson: boolean; screen: ScreenChoice; notes: readonly string[] }>,
  resume?: () => void,
): Promise<number> {
  const spec = specOf(dir);
  const screen = createScreen(request.isJson);
  for (const note of request.notes) screen.say(note);
  const follower = new Follower(spec, dir, screen, request.screen);
  if (resume) {
    follower.skipPast();
    resume();
  }
  if (request.isDetached) {
    screen.record("detached", { job: spec.name, dir });
    screen.say(`${spec.name} goes on by itself; drover logs ${spec.name} -f and drover status ${spec.name} show it.`);
    return 0;
  }
  const { status, isInterrupted } = await follower.toTheEnd();
  screen.record("end", status);
  if (status.stage === "succeeded") screen.say(`${spec.name} succeeded.`);
  else if (!request.isJson) process.stderr.write(`${failureText(status)}\n`);
  return exitCodeOf(status, isInterrupted);
}
