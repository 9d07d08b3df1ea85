/** What is written to the screen: text above a live block on a terminal, plain lines elsewhere, JSON lines for programs. */

import chalk from "chalk";
import logUpdate from "log-update";
import type { OutputLine } from "./log-tail.js";

export interface Screen {
  /** Whether `record` is of use. */
  readonly takesRecords: boolean;
  /** A line of the job itself. */
  say(text: string): void;
  outputLine(line: OutputLine): void;
  /** Replaces the live block. */
  show(block: string): void;
  /** One object of `--json`. */
  record(type: string, fields: object): void;
  /** Leaves the block as it is. */
  end(): void;
}

export function createScreen(isJson: boolean): Screen {
  if (isJson) return new JsonScreen();
  return process.stdout.isTTY ? new TerminalScreen() : new PlainScreen();
}

export function prefixed({ source, text }: OutputLine): string {
  return `${chalk.dim("rank" in source ? `[rank ${source.rank}]` : `[${source.node}]`)} ${text}`;
}

class JsonScreen implements Screen {
  readonly takesRecords = true;

  say(text: string): void {
    this.record("note", { text });
  }

  outputLine({ source, stream, text }: OutputLine): void {
    this.record("output", { ...source, stream, text });
  }

  show(): void {}

  record(type: string, fields: object): void {
    process.stdout.write(`${JSON.stringify({ type, ...fields })}\n`);
  }

  end(): void {}
}

class PlainScreen implements Screen {
  readonly takesRecords = false;

  say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  outputLine(line: OutputLine): void {
    (line.stream === "err" ? process.stderr : process.stdout).write(`${prefixed(line)}\n`);
  }

  show(): void {}
  record(): void {}
  end(): void {}
}

class TerminalScreen implements Screen {
  readonly takesRecords = false;
  #block = "";

  say(text: string): void {
    this.#above(chalk.dim(text));
  }

  outputLine(line: OutputLine): void {
    this.#above(prefixed(line));
  }

  show(block: string): void {
    this.#block = block;
    logUpdate(block);
  }

  record(): void {}

  end(): void {
    logUpdate.done();
    this.#block = "";
  }

  #above(text: string): void {
    logUpdate.clear();
    process.stdout.write(`${text}\n`);
    if (this.#block !== "") logUpdate(this.#block);
  }
}
