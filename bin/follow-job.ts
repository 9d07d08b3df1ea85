/** What a command shows of a job that was begun, to its end, and the exit code that it ends with. */

import { exitCodeOf, failureText } from "./failure-text.js";
import { Follower } from "./follow.js";
import { specOf } from "./jobs.js";
import type { ScreenChoice } from "./run-options.js";
import { createScreen } from "./screen.js";

/** Follows a job that was begun, in the way that the flags ask for; with `resume`, from where it is resumed by that call. */
export async function followJob(
  dir: string,
  request: Readonly<{ isDetached: boolean; isJson: boolean; screen: ScreenChoice; notes: readonly string[] }>,
  resume?: () => Promise<void>,
): Promise<number> {
  const spec = specOf(dir);
  const screen = createScreen(request.isJson);
  for (const note of request.notes) screen.say(note);
  const follower = new Follower(spec, dir, screen, request.screen);
  if (resume) {
    follower.skipPast();
    await resume();
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
