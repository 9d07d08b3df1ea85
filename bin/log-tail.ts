/** Follows the output files of a job's ranks, across rounds, and those of its DLRover agents, as they grow. */

import { closeSync, existsSync, openSync, readSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** A rank, or a DLRover agent with all of its ranks. */
export type Source = Readonly<{ round: number; rank: number }> | Readonly<{ node: string }>;
type Stream = "out" | "err";
export type OutputLine = Readonly<{ source: Source; stream: Stream; text: string }>;

type Tail = { readonly path: string; readonly source: Source; readonly stream: Stream; offset: number; rest: string };

const chunk = Buffer.alloc(256 * 1024);
/** A line without an end is shown in pieces of this many characters. */
const lineMax = 64 * 1024;

/** Files are looked at when `read` is called: the caller knows when there may be something new. */
export class LogTail {
  readonly #dir: string;
  readonly #wants: (source: Source) => boolean;
  readonly #tails = new Map<string, Tail>();

  constructor(dir: string, wants: (source: Source) => boolean = () => true) {
    this.#dir = dir;
    this.#wants = wants;
  }

  /** Every whole line since the last time; with `isLast` unfinished ones too. */
  read(isLast = false): OutputLine[] {
    this.#discover();
    return [...this.#tails.values()].flatMap((tail) => linesOf(tail, isLast));
  }

  #discover(): void {
    if (!existsSync(this.#dir)) return;
    const names = readdirSync(this.#dir);
    for (const round of names.filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b))) {
      for (const name of readdirSync(join(this.#dir, round)).sort()) {
        const match = /^rank-(\d+)\.(?:out|err)$/.exec(name);
        if (match) this.#follow(join(this.#dir, round, name), { round: Number(round), rank: Number(match[1]) });
      }
    }
    for (const name of names.sort()) {
      const match = /^([a-z]+-\d+)\.(?:out|err)$/.exec(name);
      if (match?.[1] !== undefined) this.#follow(join(this.#dir, name), { node: match[1] });
    }
  }

  #follow(path: string, source: Source): void {
    if (this.#tails.has(path) || !this.#wants(source)) return;
    this.#tails.set(path, { path, source, stream: path.endsWith(".err") ? "err" : "out", offset: 0, rest: "" });
  }
}

function linesOf(tail: Tail, isLast: boolean): OutputLine[] {
  let file: number;
  try {
    file = openSync(tail.path, "r");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw error;
  }
  const lines: string[] = [];
  try {
    for (;;) {
      const count = readSync(file, chunk, 0, chunk.length, tail.offset);
      if (count === 0) break;
      tail.offset += count;
      const parts = (tail.rest + chunk.toString("utf8", 0, count)).split("\n");
      tail.rest = parts.pop() ?? "";
      lines.push(...parts);
      if (tail.rest.length > lineMax) {
        lines.push(tail.rest);
        tail.rest = "";
      }
    }
  } finally {
    closeSync(file);
  }
  if (isLast && tail.rest !== "") {
    lines.push(tail.rest);
    tail.rest = "";
  }
  return lines.map((text) => ({ source: tail.source, stream: tail.stream, text: text.replace(/\r$/, "") }));
}
