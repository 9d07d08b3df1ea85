/** Starts one of our Python programs in a session of its own, and waits until it says that it listens (docs/nursery.md). */

import { spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import type { Environment } from "./shared-environment.js";

const listenTimeoutMs = 20_000;

/** Resolves when somebody listens: the child, or another that was faster. Its stderr goes to `logPath`; it outlives this process. */
export async function startListening(python: string, args: readonly string[], env: Environment, logPath: string): Promise<void> {
  const log = openSync(logPath, "a", 0o600);
  const child = spawn(python, args, { cwd: "/", detached: true, env, stdio: ["ignore", "pipe", log] });
  closeSync(log);
  child.unref();
  const { stdout } = child;
  if (stdout === null) throw new Error("a pipe was asked for and not given");
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((done, fail) => {
      timer = setTimeout(() => fail(new Error(`${python} did not listen within ${listenTimeoutMs} ms; see ${logPath}`)), listenTimeoutMs);
      child.once("error", fail);
      child.once("exit", (code, signal) => {
        if (code === 0) done();
        else fail(new Error(`${python} ended with ${String(code ?? signal)}; see ${logPath}`));
      });
      stdout.once("data", () => done());
    });
  } finally {
    clearTimeout(timer);
    stdout.destroy();
  }
}
