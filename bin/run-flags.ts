/**
 * The flags of `drover run`: torchrun's, spelled both ways, and Drover's own.
 *
 * A torchrun flag either works here or is taken with one note that says why it means nothing; none is an error.
 */

import { type Command, Option } from "commander";
import { dlroverFlags } from "./dlrover-flags.js";

/** Flags of torchrun that have no meaning under Drover, and why. */
export const meaningless: Readonly<Record<string, string>> = {
  rdzvBackend: "the master is the rendezvous",
  rdzvEndpoint: "the master is the rendezvous",
  monitorInterval: "ranks are watched by events, not at intervals",
  startMethod: "ranks are forked from a warm interpreter, or exec'd with --no-warm",
  eventLogHandler: "events are in the job's journal: drover events",
  runPath: "scripts run as __main__ anyway",
  duplicateStdoutFilters: "drover logs | grep does it",
  duplicateStderrFilters: "drover logs | grep does it",
  nodeRank: "the scheduler gives nodes their ranks",
  masterAddr: "every round gets a store of its own",
  masterPort: "every round gets a store of its own",
  localAddr: "the launcher knows the address of its host",
  logsSpecs: "torch is not imported by the launcher",
  numaBinding: "it is not supported yet",
  virtualLocalRank: "it is not supported yet",
  signalsToHandle: "SIGINT and SIGTERM stop the job, SIGHUP detaches from it",
};

type Flag = Readonly<{ flags: string; about: string; env?: string }>;

const torchrunFlags: readonly Flag[] = [
  { flags: "--nnodes <min[:max]>", about: "nodes, or a range to grow and shrink within; on one host they share it", env: "PET_NNODES" },
  { flags: "--nproc-per-node <n>", about: "ranks a node: a number, auto, gpu or cpu", env: "PET_NPROC_PER_NODE" },
  { flags: "--max-restarts <n>", about: "restarts that the whole job may spend (default 3)", env: "PET_MAX_RESTARTS" },
  { flags: "-m, --module", about: "the script is a module, as in python -m", env: "PET_MODULE" },
  { flags: "--no-python", about: "the script is any command", env: "PET_NO_PYTHON" },
  { flags: "--log-dir <dir>", about: "where the ranks' output goes (default: the job's folder)", env: "PET_LOG_DIR" },
  { flags: "-r, --redirects <std>", about: "streams kept from the screen: 0 none, 1 stdout, 2 stderr, 3 both, or 0:1,1:2 by local rank", env: "PET_REDIRECTS" },
  { flags: "-t, --tee <std>", about: "streams shown although redirected, spelled as --redirects", env: "PET_TEE" },
  { flags: "--local-ranks-filter <list>", about: "show only these local ranks", env: "PET_LOCAL_RANKS_FILTER" },
  { flags: "--role <name>", about: "name of the workers' role in their environment", env: "PET_ROLE" },
  { flags: "--rdzv-id <id>", about: "TORCHELASTIC_RUN_ID (default: the job's name)", env: "PET_RDZV_ID" },
  { flags: "--rdzv-conf <k=v,…>", about: "join_timeout and last_call_timeout in seconds are used", env: "PET_RDZV_CONF" },
  { flags: "--shutdown-timeout <seconds>", about: "grace between SIGTERM and SIGKILL (default 10)", env: "PET_SHUTDOWN_TIMEOUT" },
  { flags: "--standalone", about: "taken and not needed: one host is the default" },
];

const silentFlags: readonly string[] = [
  "--rdzv-backend <name>",
  "--rdzv-endpoint <host:port>",
  "--monitor-interval <seconds>",
  "--start-method <name>",
  "--event-log-handler <name>",
  "--run-path",
  "--duplicate-stdout-filters <list>",
  "--duplicate-stderr-filters <list>",
  "--node-rank <n>",
  "--master-addr <address>",
  "--master-port <port>",
  "--local-addr <address>",
  "--logs-specs <name>",
  "--numa-binding <mode>",
  "--virtual-local-rank",
  "--signals-to-handle <list>",
];

const droverFlags: readonly Flag[] = [
  { flags: "--name <job>", about: "name of the job (default: from the script)" },
  { flags: "--detach", about: "return once the job has begun; drover logs -f and drover status follow it" },
  { flags: "--no-warm", about: "start each rank with a fresh interpreter" },
  { flags: "--keep-warm <time>", about: "leave the warm interpreter for the next run: 10m, 90s, 0 (default)" },
  { flags: "--python <path>", about: "interpreter (default: $VIRTUAL_ENV, else python3 of the PATH)" },
  { flags: "--node-unit <n>", about: "the world has a multiple of this many nodes (default 1)" },
  { flags: "--heartbeat-timeout <time>", about: "a node that is not heard of for this long is lost (default 30s)" },
  { flags: "--max-relaunches <n>", about: "new nodes in the place of lost ones (default 3)" },
  { flags: "--durability <level>", about: "power: fsync before acknowledging (default); process: survives kill -9, not a power cut" },
  { flags: "--hang-timeout <time>", about: "no step for this long while peers wait is a hang (default 30m, 0 turns it off)" },
  { flags: "--on-nan <what>", about: "report (default) or fail when a rank reports a NaN loss" },
  { flags: "--cpus-per-node <n>", about: "CPUs that a node takes of its host" },
  { flags: "--memory-per-node <size>", about: "memory that a node takes of its host: 512M, 16G" },
  { flags: "--gpus-per-node <n>", about: "GPUs that a node takes of its host" },
  { flags: "--json", about: "one JSON object a line instead of text" },
  { flags: "--agent <kind>", about: "drover (default), or dlrover: dlrover-run is the agent of each node, and takes the flags below" },
  ...dlroverFlags.map(({ name, value, about }) => ({ flags: value === null ? name : `${name} ${value}`, about: `dlrover-run: ${about}` })),
];

/** Adds every flag to the command; a second spelling with underscores is hidden but taken. */
export function addRunFlags(command: Command): void {
  const add = (flags: string, about: string, env?: string): void => {
    const option = new Option(flags, about);
    if (env !== undefined) option.env(env);
    command.addOption(about === "" ? option.hideHelp() : option);
    const long = /--[a-z-]+/.exec(flags)?.[0] ?? "";
    const spelled = `--${long.slice(2).replaceAll("-", "_")}`;
    if (!spelled.includes("_")) return;
    command.addOption(new Option(flags.replace(/^-\w, /, "").replace(long, spelled)).hideHelp());
  };
  for (const { flags, about, env } of [...torchrunFlags, ...droverFlags]) add(flags, about, env);
  for (const flags of silentFlags) add(flags, "");
}

/** The options under their names with dashes, whichever spelling was used. */
export function unspelled(options: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const merged: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(options)) {
    merged[name.replace(/_(\w)/g, (_all, letter: string) => letter.toUpperCase())] ??= value;
  }
  return options["no_python"] === true ? { ...merged, python: false } : merged;
}
