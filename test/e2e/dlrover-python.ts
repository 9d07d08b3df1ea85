/** The Python that has the real dlrover: DROVER_DLROVER_PYTHON, which `npm test` sets. */

import { spawnSync } from "node:child_process";

export const dlroverPython = process.env["DROVER_DLROVER_PYTHON"] ?? "python3";

/** What a program prints, as JSON; `input` is what it reads. */
export function runPython(program: string, input: string, args: readonly string[] = []): unknown {
  const { status, stdout, stderr } = spawnSync(dlroverPython, ["-W", "ignore", "-c", program, ...args], { input, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${dlroverPython} ended with ${String(status)}: ${stderr.slice(-2_000)}`);
  return JSON.parse(stdout.trim().split("\n").at(-1) ?? "");
}
