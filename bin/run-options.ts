/** What the flags of `drover run` mean: from text to a `JobInput`, with an error that says what is allowed. */

import { accessSync, constants, existsSync, readdirSync, realpathSync, statSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, delimiter, join, resolve } from "node:path";
import { BoundaryError } from "../src/base/errors.js";
import type { JobInput } from "../src/job/resolve-spec.js";
import { dlroverInput, mustNotHaveDlroverFlags } from "./dlrover-flags.js";
import { meaningless, unspelled } from "./run-flags.js";

export type Environment = Readonly<Record<string, string | undefined>>;

/** What is shown of the ranks' output on the screen. */
export type ScreenChoice = Readonly<{ isShown: (localRank: number, stream: "out" | "err") => boolean }>;

export type RunRequest = Readonly<{ input: JobInput; logDir: string | null; isDetached: boolean; isJson: boolean; screen: ScreenChoice; notes: readonly string[] }>;

export function runRequest(script: string, args: readonly string[], raw: Readonly<Record<string, unknown>>, env: Environment, cwd: string): RunRequest {
  const options = unspelled(raw);
  const text = (name: string): string | null => (typeof options[name] === "string" ? options[name] : null);
  const isModule = options["module"] === true;
  const isCommand = options["python"] === false;
  if (isModule && isCommand) throw usage("--module and --no-python exclude each other", "", "one of the two");
  const kind = isCommand ? "command" : isModule ? "module" : "script";
  const isDlrover = choiceOf("--agent", text("agent") ?? "drover", ["drover", "dlrover"] as const) === "dlrover";
  if (!isDlrover) mustNotHaveDlroverFlags(options);
  const python = isCommand && !isDlrover ? "" : pythonOf(text("python"), env, cwd);
  const target = kind === "script" ? scriptOf(script, cwd) : script;
  const conf = pairsOf(text("rdzvConf"));
  const seconds = (name: string): number | undefined => (conf[name] === undefined ? undefined : 1_000 * numberOf(`--rdzv-conf ${name}`, conf[name]));
  const name = text("name") ?? nameFor(script);
  const optional = <Value>(key: string, value: Value | undefined): Record<string, Value> => (value === undefined ? {} : { [key]: value });
  const whole = (flag: string, value: string | null): number | undefined => (value === null ? undefined : numberOf(flag, value));
  const durability = choiceOf("--durability", text("durability") ?? "power", ["power", "process"] as const);
  const onNan = choiceOf("--on-nan", text("onNan") ?? "report", ["report", "fail"] as const);
  const input: JobInput = {
    name,
    roles: [
      {
        ...optional("name", text("role") ?? undefined),
        nodes: { ...nodesOf(text("nnodes") ?? "1"), ...optional("unit", whole("--node-unit", text("nodeUnit"))) },
        nprocPerNode: nprocOf(text("nprocPerNode") ?? "1", env),
        resources: {
          ...optional("cpu", whole("--cpus-per-node", text("cpusPerNode"))),
          ...optional("gpu", whole("--gpus-per-node", text("gpusPerNode"))),
          ...optional("memoryBytes", text("memoryPerNode") === null ? undefined : bytesOf(text("memoryPerNode") ?? "")),
        },
        entrypoint: { kind, target, args, python },
      },
    ],
    cwd,
    env: Object.fromEntries(Object.entries(env).flatMap(([key, value]) => (value === undefined ? [] : [[key, value]]))),
    durability,
    diagnosis: { onNan, ...optional("hangTimeoutMs", text("hangTimeout") === null ? undefined : durationMs("--hang-timeout", text("hangTimeout") ?? "")) },
    warm: { isOn: options["warm"] !== false, keepMs: durationMs("--keep-warm", text("keepWarm") ?? "0") },
    runId: text("rdzvId") ?? name,
    ...optional("maxRestarts", whole("--max-restarts", text("maxRestarts"))),
    ...optional("maxRelaunches", whole("--max-relaunches", text("maxRelaunches"))),
    ...optional("joinTimeoutMs", seconds("join_timeout")),
    ...optional("lastCallMs", seconds("last_call_timeout")),
    ...heartbeatOf(text("heartbeatTimeout")),
    ...optional("stopGraceMs", text("shutdownTimeout") === null ? undefined : 1_000 * numberOf("--shutdown-timeout", text("shutdownTimeout") ?? "")),
  };
  const ignored = Object.entries(meaningless).filter(([key]) => !(isDlrover && key === "monitorInterval"));
  return {
    input: isDlrover ? dlroverInput(input, options, conf) : input,
    logDir: text("logDir") === null ? null : resolve(cwd, text("logDir") ?? ""),
    isDetached: options["detach"] === true,
    isJson: options["json"] === true,
    screen: screenOf(text("redirects"), text("tee"), text("localRanksFilter")),
    notes: ignored.flatMap(([key, why]) => (options[key] === undefined ? [] : [`--${dashed(key)} means nothing here: ${why}.`])),
  };
}

function dashed(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

function usage(what: string, value: string, allowed: string, hint = `Use ${allowed}.`): BoundaryError {
  return new BoundaryError("USAGE", what, { value, allowed, hint });
}

function numberOf(flag: string, value: string): number {
  const number = Number(value);
  if (value.trim() === "" || !Number.isFinite(number) || number < 0) throw usage(`${flag} is ${JSON.stringify(value)}`, value, "a number from 0");
  return number;
}

function choiceOf<Choice extends string>(flag: string, value: string, choices: readonly Choice[]): Choice {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw usage(`${flag} is ${JSON.stringify(value)}`, value, choices.join(" or "));
  return found;
}

/** `MIN:MAX`, or `N` for both. */
export function nodesOf(value: string): { min: number; max: number } {
  const match = /^(\d+)(?::(\d+))?$/.exec(value);
  const min = Number(match?.[1] ?? Number.NaN);
  const max = Number(match?.[2] ?? min);
  if (!match || min < 1 || max < min) throw usage(`--nnodes is ${JSON.stringify(value)}`, value, "N or MIN:MAX with 1 ≤ MIN ≤ MAX");
  return { min, max };
}

/** Heartbeats come often enough that a few may be lost. */
function heartbeatOf(timeout: string | null): Pick<JobInput, "heartbeatIntervalMs" | "heartbeatTimeoutMs"> {
  if (timeout === null) return {};
  const timeoutMs = durationMs("--heartbeat-timeout", timeout);
  return { heartbeatTimeoutMs: timeoutMs, heartbeatIntervalMs: Math.min(5_000, Math.floor(timeoutMs / 4)) };
}

/** A number; `gpu`: GPUs of this host; `cpu`: its cores; `auto`: GPUs if there are any, else cores (as torchrun). */
export function nprocOf(value: string, env: Environment): number {
  if (value === "cpu") return availableParallelism();
  const gpus = value === "auto" || value === "gpu" ? gpusOf(env) : 0;
  if (value === "auto") return gpus > 0 ? gpus : availableParallelism();
  if (value === "gpu") {
    if (gpus === 0) throw usage("--nproc-per-node is gpu, and this host has none", value, "a number, cpu or auto");
    return gpus;
  }
  const number = Number(value);
  if (!Number.isSafeInteger(number) || number < 1) throw usage(`--nproc-per-node is ${JSON.stringify(value)}`, value, "a number from 1, auto, gpu or cpu");
  return number;
}

function gpusOf(env: Environment): number {
  const visible = env["CUDA_VISIBLE_DEVICES"];
  if (visible !== undefined) return visible.split(",").filter((device) => device.trim() !== "" && device.trim() !== "-1").length;
  return readdirSync("/dev").filter((name) => /^nvidia\d+$/.test(name)).length;
}

/** `90s`, `10m`, `2h`, `500ms`, or seconds. */
export function durationMs(flag: string, value: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(value);
  if (!match) throw usage(`${flag} is ${JSON.stringify(value)}`, value, "a time such as 90s, 10m or 2h");
  const unitMs = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }[match[2] ?? "s"] ?? 1_000;
  return Math.round(Number(match[1]) * unitMs);
}

function bytesOf(value: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMGT])?i?B?$/i.exec(value);
  if (!match) throw usage(`--memory-per-node is ${JSON.stringify(value)}`, value, "a size such as 512M or 16G");
  const power = ["", "K", "M", "G", "T"].indexOf((match[2] ?? "").toUpperCase());
  return Math.round(Number(match[1]) * 1_024 ** power);
}

function pairsOf(value: string | null): Record<string, string> {
  if (value === null) return {};
  return Object.fromEntries(
    value.split(",").map((pair) => {
      const [key = "", ...rest] = pair.split("=");
      if (rest.length === 0) throw usage(`--rdzv-conf is ${JSON.stringify(value)}`, value, "key=value pairs, separated by commas");
      return [key.trim(), rest.join("=").trim()];
    }),
  );
}

function nameFor(script: string): string {
  const stem = basename(script).replace(/\.py$/, "").replace(/[^A-Za-z0-9._-]/g, "-").replace(/^[^A-Za-z0-9]+/, "");
  const tail = Math.floor(Math.random() * 36 ** 4).toString(36).padStart(4, "0");
  return `${stem.slice(0, 50) || "job"}-${tail}`;
}

function scriptOf(script: string, cwd: string): string {
  const path = resolve(cwd, script);
  const hint = "Check the path; options of drover come before the script, those of the script after it.";
  if (!existsSync(path)) throw usage(`there is no script ${path}`, script, "the path of a Python file", hint);
  if (statSync(path).isDirectory() && !existsSync(join(path, "__main__.py"))) throw usage(`${path} is a folder without __main__.py`, script, "a Python file");
  return script;
}

function pythonOf(wanted: string | null, env: Environment, cwd: string): string {
  if (wanted !== null && wanted.includes("/")) {
    const path = resolve(cwd, wanted);
    if (isProgram(path)) return path;
    throw usage(`--python is ${wanted}, which cannot be run`, wanted, "the path of a Python interpreter");
  }
  const folders = [...(env["VIRTUAL_ENV"] === undefined ? [] : [join(env["VIRTUAL_ENV"], "bin")]), ...(env["PATH"] ?? "").split(delimiter)];
  const found = folders.map((folder) => join(folder, wanted ?? "python3")).find((path) => path.startsWith("/") && isProgram(path));
  if (found !== undefined) return found;
  throw usage(`there is no ${wanted ?? "python3"} on the PATH`, wanted ?? "python3", "an interpreter", "Install Python 3, or say where it is with --python.");
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(realpathSync(path)).isFile();
  } catch {
    return false; // Not there, or not ours to run: the caller says which path.
  }
}

/** `3`, or `0:1,1:2` by local rank. */
function streamsOf(flag: string, value: string | null): (localRank: number) => number {
  if (value === null) return () => 0;
  const bad = (): BoundaryError => usage(`${flag} is ${JSON.stringify(value)}`, value, "0, 1, 2, 3, or such as 0:1,1:2 by local rank");
  if (/^[0-3]$/.test(value)) return () => Number(value);
  const entries = value.split(",").map((entry): [number, number] => {
    const match = /^(\d+):([0-3])$/.exec(entry.trim());
    if (!match) throw bad();
    return [Number(match[1]), Number(match[2])];
  });
  const byRank = new Map(entries);
  return (localRank) => byRank.get(localRank) ?? 0;
}

/** Everything is kept in files; redirected streams stay off the screen unless they are teed. */
export function screenOf(redirects: string | null, tee: string | null, filter: string | null): ScreenChoice {
  const hidden = streamsOf("--redirects", redirects);
  const shown = streamsOf("--tee", tee);
  const only = filter === null || filter === "" ? null : new Set(filter.split(",").map((rank) => numberOf("--local-ranks-filter", rank)));
  return {
    isShown: (localRank, stream) => {
      const bit = stream === "out" ? 1 : 2;
      return (only === null || only.has(localRank)) && ((hidden(localRank) & bit) === 0 || (shown(localRank) & bit) !== 0);
    },
  };
}
