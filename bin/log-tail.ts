/** Follows the output files of a job's ranks, across rounds, as they grow. */

import { closeSync, existsSync, openSync, readSync, readdirSync } from "node:fs";
import { join } from "node:path";

export type RankLine = Readonly<{ round: number; rank: number; stream: "out" | "err"; text: string }>;

type Tail = { readonly path: string; readonly round: number; readonly rank: number; readonly stream: "out" | "err"; offset: number; rest: string };

const chunk = Buffer.alloc(256 * 1024);
/** A line without an end is shown in pieces of this many characters. */
const lineMax = 64 * 1024;

/** Files are looked at when `read` is called: the caller knows when there may be something new. */
export class LogTail {
  readonly #dir: string;
  readonly #wants: (rank: number) => boolean;
  readonly #tails = new Map<string, Tail>();

  constructor(dir: string, wants: (rank: number) => boolean = () => true) {
    this.#dir = dir;
    this.#wants = wants;
  }

  /** Every whole line since the last time; with `isLast` unfinished ones too. */
  read(isLast = false): RankLine[] {
    this.#discover();
    return [...this.#tails.values()].flatMap((tail) => linesOf(tail, isLast));
  }

  #discover(): void {
    if (!existsSync(this.#dir)) return;
    const rounds = readdirSync(this.#dir).filter((name) => /^\d+$/.test(name)).sort((a, b) => Number(a) - Number(b));
    for (const round of rounds) {
      for (const name of readdirSync(join(this.#dir, round)).sort()) {
        const match = /^rank-(\d+)\.(out|err)$/.exec(name);
        const path = join(this.#dir, round, name);
        if (!match || this.#tails.has(path) || !this.#wants(Number(match[1]))) continue;
        const stream = match[2] === "err" ? "err" : "out";
        this.#tails.set(path, { path, round: Number(round), rank: Number(match[1]), stream, offset: 0, rest: "" });
      }
    }
  }
}

function linesOf(tail: Tail, isLast: boolean): RankLine[] {
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
  return lines.map((text) => ({ round: tail.round, rank: tail.rank, stream: tail.stream, text: text.replace(/\r$/, "") }));
}
