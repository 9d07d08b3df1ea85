/** `drover run --agent dlrover`: what DLRover's `dlrover-run` is told, and whether this machine can run it. */

import { execFileSync } from "node:child_process";
import { BoundaryError } from "../src/base/errors.js";
import type { JobInput } from "../src/job/resolve-spec.js";
import { namespaces } from "../src/launch/dlrover-agent.js";

/** Flags of `dlrover-run` that torchrun does not have; null: it takes no value. */
export const dlroverFlags: readonly Readonly<{ name: string; value: string | null; about: string }>[] = [
  { name: "--network-check", value: null, about: "check nodes and the network between them before training" },
  { name: "--comm-perf-test", value: null, about: "measure collectives in that check" },
  { name: "--exclude-straggler", value: null, about: "a node that the check finds slow goes" },
  { name: "--precheck", value: "<level>", about: "0 (default), 1 or 2: how thorough that check is" },
  { name: "--save-at-breakpoint", value: null, about: "write the checkpoint in memory to disk when ranks fail" },
  { name: "--auto-config", value: null, about: "set nodes and ranks from the environment" },
  { name: "--auto-tunning", value: null, about: "tune the parallel configuration" },
  { name: "--numa-affinity", value: null, about: "bind ranks to NUMA nodes" },
  { name: "--accelerator", value: "<kind>", about: "nvidia.com/gpu (default), ascend-npu or mthreads.com/gpu" },
  { name: "--training-port", value: "<port>", about: "the first of the ports that training may use" },
];

/** Its agents beat every 15 s, and hear with the next beat that they are to go. */
const defaults = { heartbeatTimeoutMs: 60_000, heartbeatIntervalMs: 15_000, stopGraceMs: 30_000 };

/** `options` under their names with dashes; `conf` is that of --rdzv-conf. */
export function dlroverInput(input: JobInput, options: Readonly<Record<string, unknown>>, conf: Readonly<Record<string, string>>): JobInput {
  const [role] = input.roles;
  if (!role) return input;
  const { min, max, unit } = role.nodes ?? { min: 1, max: 1 };
  const { kind } = role.entrypoint;
  const { last_call_timeout: lastCall, ...others } = conf;
  const rendezvous = { ...others, ...(lastCall === undefined ? {} : { lastcall_timeout: lastCall }) };
  const pairs = Object.entries(rendezvous).map(([key, value]) => `${key}=${value}`);
  const interval = options["monitorInterval"];
  const flags = [
    `--nnodes=${min}:${max}`,
    `--nproc-per-node=${role.nprocPerNode ?? 1}`,
    `--max-restarts=${input.maxRestarts ?? 3}`,
    ...(unit === undefined ? [] : [`--node-unit=${unit}`]),
    ...(pairs.length === 0 ? [] : [`--rdzv-conf=${pairs.join(",")}`]),
    ...(typeof interval === "string" ? [`--monitor-interval=${interval}`] : []),
    ...dlroverFlags.flatMap(({ name }) => {
      const value = options[keyOf(name)];
      return typeof value === "string" ? [`${name}=${value}`] : value === true ? [name] : [];
    }),
    ...(kind === "module" ? ["--module"] : kind === "command" ? ["--no-python"] : []),
  ];
  return { ...defaults, ...input, warm: { isOn: false }, agents: { kind: "dlrover", needsToken: true, flags } };
}

/** @throws BoundaryError `USAGE` for a flag of `dlrover-run` where Drover's own agent is to run */
export function mustNotHaveDlroverFlags(options: Readonly<Record<string, unknown>>): void {
  const found = dlroverFlags.find(({ name }) => options[keyOf(name)] !== undefined);
  if (!found) return;
  const hint = `Leave ${found.name} away, or add --agent dlrover.`;
  throw new BoundaryError("USAGE", `${found.name} is for DLRover's agent`, { value: found.name, allowed: "only with --agent dlrover", hint });
}

function keyOf(name: string): string {
  return name.slice(2).replace(/-(\w)/g, (_all, letter: string) => letter.toUpperCase());
}

const look = `import sys, importlib.util, json
print(json.dumps([list(sys.version_info[:2]), importlib.util.find_spec("dlrover") is not None, importlib.util.find_spec("torch") is not None]))`;

/** @throws BoundaryError `NO_DLROVER` with what is to be done */
export function checkDlrover(python: string): void {
  const lack = (what: string, hint: string): BoundaryError => new BoundaryError("NO_DLROVER", what, { value: python, hint });
  const install = `${python} -m pip install 'dlrover[k8s,torch]==0.6.1' protobuf`;
  const [version, hasDlrover, hasTorch] = JSON.parse(execFileSync(python, ["-c", look], { encoding: "utf8" })) as [[number, number], boolean, boolean];
  if (version[0] > 3 || version[1] >= 13) {
    throw lack(`dlrover-run does not start on Python ${version.join(".")}: it needs telnetlib, which 3.13 removed`, "Name an interpreter of 3.8 to 3.12 with --python.");
  }
  if (!hasDlrover) throw lack(`dlrover is not installed for ${python}`, `Install it: ${install}`);
  if (!hasTorch) throw lack(`torch is not installed for ${python}`, "Install torch for it, or name another interpreter with --python.");
  try {
    execFileSync("unshare", [...namespaces(), "true"], { stdio: ["ignore", "ignore", "pipe"], encoding: "utf8" });
  } catch (error) {
    const said = error instanceof Error && "stderr" in error ? String(error.stderr).trim() : String(error);
    const hint = "Run as root, or allow user namespaces (sysctl kernel.unprivileged_userns_clone=1; in a container: --privileged or seccomp=unconfined).";
    throw lack(`this machine gives no namespaces, and dlrover-run kills processes of others where it has none of its own: ${said || "unshare cannot be run"}`, hint);
  }
}
