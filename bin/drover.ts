#!/usr/bin/env node
/** drover: parses the command line, calls what it names, and ends with its exit code. Nothing is decided here. */

import { readFileSync } from "node:fs";
import chalk from "chalk";
import { Command, CommanderError } from "commander";
import { packageFile } from "../src/base/built-file.js";
import { BoundaryError } from "../src/base/errors.js";
import { addRunFlags } from "./run-flags.js";

const usageCode = 2;

function versionOf(path: string): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { version: string }).version;
}

type Json = Readonly<{ json?: boolean }>;

/** Every command; what it calls is loaded when it is called. */
export function createProgram(end: (code: number) => void): Command {
  const program = new Command("drover")
    .description("Keeps distributed training jobs running on plain machines.")
    .version(versionOf(packageFile("package.json")), "-V, --version")
    .enablePositionalOptions()
    .showHelpAfterError("(drover help shows what there is)")
    .exitOverride();
  const examples = (text: string): string => `\nExamples:\n${text.trim().replace(/^ */gm, "  ")}\n`;

  const run = program
    .command("run")
    .description("Run a training script on every rank, and keep it running")
    .argument("<script>", "a Python script (or module, or command), followed by its own arguments")
    .argument("[args...]")
    .passThroughOptions()
    .addHelpText(
      "after",
      examples(`drover run --nproc-per-node 2 train.py --epochs 3
        drover run --nnodes 1:4 --nproc-per-node gpu --max-restarts 10 train.py
        drover run --keep-warm 10m train.py            # the next run starts in a blink
        drover run --no-python --nproc-per-node 4 ./simulate`),
    )
    .action(async (script: string, args: string[], options: Record<string, unknown>) => {
      end(await (await import("./commands/run.js")).run(script, args, options));
    });
  addRunFlags(run);

  addMaster(program, end, examples);
  const about = (name: string, description: string): Command => program.command(name).description(description).option("--json", "one JSON object");
  about("ps", "List jobs and warm interpreters").action(async (options: Json) => end(await (await import("./commands/status.js")).ps(options)));
  about("status", "Show a job: stage, nodes, ranks")
    .argument("[job]", "default: the only live job, else the newest")
    .addHelpText("after", examples("drover status\ndrover status digits --json | jq .ranks"))
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/status.js")).status(job, options)));
  about("logs", "Show what the ranks printed")
    .argument("[job]")
    .option("-f, --follow", "and what they print from now on")
    .option("--rank <list>", "only these ranks, separated by commas")
    .addHelpText("after", examples("drover logs -f --rank 0"))
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/history.js")).logs(job, options)));
  about("events", "Show every decision, with its reason")
    .argument("[job]")
    .option("-f, --follow", "and those to come")
    .option("--actor <name>", "only of this component")
    .option("--type <list>", "only of these types, separated by commas")
    .addHelpText("after", examples("drover events -f\ndrover events --type rank-failed --json"))
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/history.js")).events(job, options)));
  about("stop", "End a job: SIGTERM, a grace time, SIGKILL")
    .argument("[job]")
    .option("--kill", "without the grace time")
    .option("--warm", "end warm interpreters (and the job, if one is named)")
    .addHelpText("after", examples("drover stop\ndrover stop --warm"))
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/control.js")).stop(job, options)));
  about("pause", "End the ranks of a job and keep its nodes")
    .argument("[job]")
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/control.js")).pause(job, options)));
  about("resume", "Take up a job that is down or paused; begin an ended one again from its checkpoints")
    .argument("[job]")
    .option("--detach", "do not follow it")
    .action(async (job: string | undefined, options: Json) => end(await (await import("./commands/resume.js")).resume(job, options)));
  about("scale", "Set the number of nodes, within --nnodes MIN:MAX")
    .argument("<job-or-n>", "the job, or the number if there is only one")
    .argument("[n]")
    .addHelpText("after", examples("drover scale 3\ndrover scale digits 3"))
    .action(async (first: string, second: string | undefined, options: Json) => end(await (await import("./commands/control.js")).scale(first, second, options)));
  about("doctor", "Say what this machine lacks")
    .option("--python <path>", "interpreter to look at")
    .action(async (options: Json) => end(await (await import("./commands/doctor.js")).doctor(options)));
  program
    .command("completion")
    .description("Print a completion script: source <(drover completion bash)")
    .argument("<shell>", "bash or zsh")
    .action(async (shell: string) => {
      process.stdout.write((await import("./commands/completion.js")).completion(program, shell));
      end(0);
    });
  return program;
}

function addMaster(program: Command, end: (code: number) => void, examples: (text: string) => string): void {
  program
    .command("master")
    .description("Serve DLRover's agents that somebody else starts, to the end of their job")
    .option("--port <port>", "where to listen (default: a free one, and the same when taken up)")
    .option("--host <address>", "address to listen on (default 127.0.0.1)")
    .option("--node-num <n[:m]>", "nodes, or a range; what the agents say counts (default 1)")
    .option("--node-unit <n>", "the world has a multiple of this many nodes (default 1)")
    .option("--name <name>", "name of the job; one that has not ended is taken up (default master)")
    .option("--job-uid <uid>", "refuse calls with another JOB_UID (default $JOB_UID)")
    .option("--require-token", "calls need the job's token: agents send it as JOB_UID")
    .option("--max-relaunches <n>", "nodes that may take the place of lost ones (default 3)")
    .option("--heartbeat-timeout <time>", "a node that is not heard of for this long is lost (default 60s)")
    .option("--durability <mode>", "power: fsync before acknowledging (default); process: survives kill -9 only")
    .option("--detach", "return once it serves")
    .option("--json", "one JSON object a line instead of text")
    .addHelpText("after", examples("drover master --port 15551 --node-num 2\ndrover master --name llm --node-num 2:8 --host 10.0.0.1 --require-token"))
    .action(async (options: Record<string, unknown>) => end(await (await import("./commands/master.js")).master(options)));
}

/** What went wrong, for a person; or as an object for `--json`. */
function report(thrown: unknown): number {
  if (thrown instanceof CommanderError) return thrown.exitCode === 0 ? 0 : usageCode;
  if (!(thrown instanceof BoundaryError)) throw thrown;
  const { code, message, details } = thrown;
  const { allowed, hint = "" } = details;
  const rest = [allowed === undefined || `${message}${hint}`.includes(allowed) ? "" : ` Allowed: ${allowed}.`, hint === "" ? "" : ` ${hint}`].join("");
  if (process.argv.includes("--json")) process.stdout.write(`${JSON.stringify({ error: { code, message, ...details } })}\n`);
  else process.stderr.write(`drover: ${message.replace(/\.$/, "")}.${rest}\n`);
  return code === "USAGE" || code === "BAD_JOB_SPEC" ? usageCode : 1;
}

/** Resolves when a slow reader has all of it: what is still under way when a process exits is lost. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

if (process.env["NO_COLOR"]) chalk.level = 0;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0); // As in `drover events | head`.
  throw error;
});
let code = 0;
try {
  await createProgram((given) => (code = given)).parseAsync();
} catch (thrown) {
  code = report(thrown);
}
await Promise.all([written(process.stdout), written(process.stderr)]);
process.exit(code);
