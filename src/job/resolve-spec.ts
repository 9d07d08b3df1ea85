/** Turns what a caller says of a job into a `JobSpec`: every default is here, every bound is checked here, once. */

import { BoundaryError } from "../base/errors.js";
import type { Entrypoint, JobSpec, Resources, Role, RoleSpec, StreamChoice } from "./job-spec.js";

/** One role as a caller names it; everything has a default but the entry point. */
export type RoleInput = Readonly<{
  role?: Role;
  /** ROLE_NAME of its ranks; default torchrun's `default` for workers, else the role. */
  name?: string;
  /** Default 1 of 1, unit 1. */
  nodes?: Readonly<{ min: number; max: number; unit?: number }>;
  /** Default 1. */
  nprocPerNode?: number;
  /** What each node takes of its host. Default nothing. */
  resources?: Partial<Resources>;
  entrypoint: Readonly<{ kind?: Entrypoint["kind"]; target: string; args?: readonly string[]; python?: string }>;
}>;

export type JobInput = Readonly<{
  name: string;
  roles: readonly RoleInput[];
  cwd: string;
  env: Readonly<Record<string, string>>;
  maxRestarts?: number;
  maxRelaunches?: number;
  lastCallMs?: number;
  joinTimeoutMs?: number;
  heartbeatIntervalMs?: number;
  heartbeatTimeoutMs?: number;
  stopGraceMs?: number;
  logs?: Partial<JobSpec["logs"]>;
  warm?: Partial<JobSpec["warm"]>;
  durability?: JobSpec["durability"];
  diagnosis?: Partial<JobSpec["diagnosis"]>;
  runId?: string;
  /** Default 127.0.0.1 and a free port. */
  listen?: JobSpec["listen"];
  /** Default: Drover's own. */
  agents?: Partial<JobSpec["agents"]>;
}>;

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const roles: readonly Role[] = ["worker", "chief", "ps", "evaluator"];
const streams: readonly StreamChoice[] = [0, 1, 2, 3];

/**
 * The spec of a job, with `logsDir` as the default of `logs.dir`.
 *
 * Defaults: 3 restarts, 3 relaunches, last call 1 s, join timeout 10 min, heartbeat every 5 s lost after 30 s, grace 10 s, log files of
 * 64 MiB times 3, warm with nothing kept, durability `power`, hang after 30 min, stragglers from a factor of 2, a NaN is reported.
 *
 * @throws BoundaryError `BAD_JOB_SPEC`
 */
export function resolveSpec(input: JobInput, logsDir: string): JobSpec {
  if (!namePattern.test(input.name)) {
    throw bad("name", input.name, "1 to 63 of a-z A-Z 0-9 . _ -, beginning with a letter or digit");
  }
  if (input.roles.length === 0) throw bad("roles", "none", "at least one role");
  const heartbeat = {
    intervalMs: whole("heartbeatIntervalMs", input.heartbeatIntervalMs ?? 5_000, 100, 600_000),
    timeoutMs: whole("heartbeatTimeoutMs", input.heartbeatTimeoutMs ?? 30_000, 200, 3_600_000),
  };
  if (heartbeat.timeoutMs < 2 * heartbeat.intervalMs) {
    throw bad("heartbeatTimeoutMs", heartbeat.timeoutMs, `at least twice heartbeatIntervalMs (${heartbeat.intervalMs})`);
  }
  return {
    name: input.name,
    roles: input.roles.map(resolveRole),
    cwd: input.cwd,
    env: input.env,
    budget: {
      maxRestarts: whole("maxRestarts", input.maxRestarts ?? 3, 0, 1_000_000),
      maxRelaunches: whole("maxRelaunches", input.maxRelaunches ?? 3, 0, 1_000_000),
    },
    rendezvous: {
      lastCallMs: whole("lastCallMs", input.lastCallMs ?? 1_000, 0, 3_600_000),
      joinTimeoutMs: whole("joinTimeoutMs", input.joinTimeoutMs ?? 600_000, 100, 86_400_000),
    },
    heartbeat,
    stopGraceMs: whole("stopGraceMs", input.stopGraceMs ?? 10_000, 0, 3_600_000),
    logs: resolveLogs(input.logs ?? {}, logsDir),
    warm: { isOn: input.warm?.isOn ?? true, keepMs: whole("warm.keepMs", input.warm?.keepMs ?? 0, 0, 86_400_000) },
    durability: input.durability ?? "power",
    diagnosis: {
      hangTimeoutMs: whole("diagnosis.hangTimeoutMs", input.diagnosis?.hangTimeoutMs ?? 1_800_000, 0, 86_400_000),
      stragglerFactor: input.diagnosis?.stragglerFactor ?? 2,
      onNan: input.diagnosis?.onNan ?? "report",
    },
    runId: input.runId ?? input.name,
    listen: input.listen ?? { host: "127.0.0.1", port: 0 },
    agents: { kind: "drover", isExternal: false, jobUid: "", needsToken: false, flags: [], ...input.agents },
  };
}

function resolveRole(input: RoleInput): RoleSpec {
  const role = input.role ?? "worker";
  if (!roles.includes(role)) throw bad("role", role, roles.join(", "));
  const { min, max, unit = 1 } = input.nodes ?? { min: 1, max: 1 };
  whole("nodes.max", max, 1, 10_000);
  whole("nodes.min", min, 1, max);
  whole("nodes.unit", unit, 1, max);
  const { kind = "script", target, args = [], python = "" } = input.entrypoint;
  if (target === "") throw bad("entrypoint.target", target, "the path of a script, the name of a module, or a command");
  if (kind !== "command" && !python.startsWith("/")) {
    throw bad("entrypoint.python", python, "the absolute path of a Python interpreter");
  }
  return {
    role,
    name: input.name ?? (role === "worker" ? "default" : role),
    nodes: { min, max, unit },
    nprocPerNode: whole("nprocPerNode", input.nprocPerNode ?? 1, 1, 1_024),
    resources: { cpu: 0, memoryBytes: 0, gpu: 0, custom: {}, ...input.resources },
    entrypoint: { kind, target, args, python },
  };
}

function resolveLogs(logs: Partial<JobSpec["logs"]>, dir: string): JobSpec["logs"] {
  const resolved = { dir, redirects: 0, tee: 0, bytesMax: 64 * 1024 * 1024, filesMax: 3, ...logs } as const;
  if (!streams.includes(resolved.redirects)) throw bad("logs.redirects", resolved.redirects, "0, 1, 2 or 3");
  if (!streams.includes(resolved.tee)) throw bad("logs.tee", resolved.tee, "0, 1, 2 or 3");
  whole("logs.bytesMax", resolved.bytesMax, 4_096, 2 ** 40);
  whole("logs.filesMax", resolved.filesMax, 1, 1_000);
  return resolved;
}

function whole(what: string, value: number, least: number, most: number): number {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value;
  throw bad(what, value, `a whole number from ${least} to ${most}`);
}

function bad(what: string, value: string | number, allowed: string): BoundaryError {
  const hint = `Set ${what} to ${allowed}.`;
  return new BoundaryError("BAD_JOB_SPEC", `${what} is ${JSON.stringify(value)}`, { value: String(value), allowed, hint });
}
