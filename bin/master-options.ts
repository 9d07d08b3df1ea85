/** What the flags of `drover master` mean. */

import { BoundaryError } from "../src/base/errors.js";
import type { JobInput } from "../src/job/resolve-spec.js";
import { durationMs, type Environment, nodesOf } from "./run-options.js";

/** DLRover's agents beat every 15 s. */
const heartbeatIntervalMs = 15_000;
/** A stock agent hears with its next heartbeat that it is to go, and takes a moment for it. */
const stopGraceMs = 30_000;

export function masterInput(options: Readonly<Record<string, unknown>>, env: Environment, cwd: string): JobInput {
  const text = (name: string): string | null => (typeof options[name] === "string" ? options[name] : null);
  const whole = (flag: string, value: string | null, most: number): number | null => {
    if (value === null) return null;
    const number = Number(value);
    if (value.trim() !== "" && Number.isSafeInteger(number) && number >= 0 && number <= most) return number;
    const allowed = `a whole number from 0 to ${most}`;
    throw new BoundaryError("USAGE", `${flag} is ${JSON.stringify(value)}`, { value, allowed, hint: `Use ${allowed}.` });
  };
  const unit = whole("--node-unit", text("nodeUnit"), 10_000);
  const maxRelaunches = whole("--max-relaunches", text("maxRelaunches"), 1_000_000);
  const heartbeatTimeoutMs = durationMs("--heartbeat-timeout", text("heartbeatTimeout") ?? "60s");
  const durability = text("durability") ?? "power";
  if (durability !== "power" && durability !== "process") {
    throw new BoundaryError("USAGE", `--durability is ${JSON.stringify(durability)}`, { value: durability, allowed: "power or process", hint: "Use power or process." });
  }
  return {
    name: text("name") ?? "master",
    roles: [{ nodes: { ...nodesOf(text("nodeNum") ?? "1"), ...(unit === null ? {} : { unit }) }, entrypoint: { kind: "command", target: "dlrover-run" } }],
    cwd,
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    durability,
    heartbeatTimeoutMs,
    heartbeatIntervalMs: Math.min(heartbeatIntervalMs, Math.floor(heartbeatTimeoutMs / 4)),
    stopGraceMs,
    warm: { isOn: false },
    listen: { host: text("host") ?? "127.0.0.1", port: whole("--port", text("port"), 65_535) ?? 0 },
    agents: { kind: "dlrover", isExternal: true, jobUid: text("jobUid") ?? env["JOB_UID"] ?? "", needsToken: options["requireToken"] === true },
    ...(maxRelaunches === null ? {} : { maxRelaunches }),
  };
}
