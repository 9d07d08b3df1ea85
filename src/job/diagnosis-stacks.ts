/**
 * Python stacks of ranks as agents send them: one text a node, in which a line that begins with `rank N` (after any
 * `=`, `#` or `-`) opens the stacks of that rank. Merged into one text as the evidence of a hang, and compared to
 * find the rank that the others wait for.
 */

export type RankStack = Readonly<{
  rank: number;
  /** The frames without what differs between processes that are at the same place: addresses, ids, line numbers. */
  signature: string;
  /** The frame in which it waits for other ranks, if it does. */
  waitsIn: string | null;
}>;

/** Collectives, whatever calls them, and the backward pass, in which DistributedDataParallel waits for its peers' gradients. */
const collective =
  /^(?:all_?reduce|all_?gather|reduce_scatter|all_to_all|broadcast|barrier|monitored_barrier|_engine_run_backward)\w* \(|\(torch\/(?:distributed|nn\/parallel)\//;
const rankLine = /^[\s=#-]*rank (\d+)\b/i;

/** The stacks of a node's ranks. A text without `rank N` lines has none. */
export function stacksOf(text: string): RankStack[] {
  const found: { rank: number; lines: string[] }[] = [];
  for (const line of text.split("\n")) {
    const rank = rankLine.exec(line)?.[1];
    if (rank !== undefined) found.push({ rank: Number(rank), lines: [] });
    else found.at(-1)?.lines.push(line);
  }
  return found.map(({ rank, lines }) => ({ rank, signature: signatureOf(lines), waitsIn: waitOf(lines) }));
}

/**
 * One text of at most `charsMax`, with every node in it: each gets the same share, and its own text is cut in the
 * middle.
 */
export function mergeStacks(texts: ReadonlyMap<string, string>, charsMax: number): string {
  const nodes = [...texts.keys()].sort();
  const share = Math.floor(charsMax / Math.max(1, nodes.length));
  return nodes
    .map((node) => `=== ${node} ===\n${texts.get(node) ?? ""}\n`)
    .map((section) => cutMiddle(section, share))
    .join("");
}

/** A text of at most `charsMax` characters that keeps the begin and the end. */
export function cutMiddle(text: string, charsMax: number): string {
  if (text.length <= charsMax) return text;
  const mark = "\n[…]\n";
  const kept = Math.max(0, charsMax - mark.length);
  const head = Math.ceil(kept / 2);
  return `${text.slice(0, head)}${mark}${text.slice(text.length - (kept - head))}`.slice(0, charsMax);
}

function waitOf(lines: readonly string[]): string | null {
  return lines.map((line) => line.trim()).find((line) => collective.test(line)) ?? null;
}

function signatureOf(lines: readonly string[]): string {
  return lines
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/^(Process|Python v)/.test(line))
    .map((line) => line.replace(/0x[0-9a-f]+|\d+/gi, "N"))
    .join("\n");
}
