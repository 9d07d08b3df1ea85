/** The habits of the code base that neither the compiler nor the linter checks: a rule that nothing checks is advice. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import ts from "typescript";

const root = fileURLToPath(new URL("../../", import.meta.url));
const folders = ["actors", "benchmarks", "bin", "embed", "examples", "python", "scripts", "src", "test"];
const lineLengthMax = 180;
const functionLinesMax = 80;
const fileLinesMax = 400;
/** Files that may be longer, and how long: they are to shrink, none is to join them. */
const longFiles: Readonly<Record<string, number>> = {
  "actors/job-manager.ts": 470,
  "src/agent/node-agent.ts": 480,
  "src/runtime/actor-cell.ts": 480,
  "src/runtime/host.ts": 420,
};

/** Who may import whom. `actors` stands for each actor alone: it may import what all of them speak, `actors/protocol`. */
const layers: Readonly<Record<string, readonly string[]>> = {
  "src/base": [],
  "src/store": ["src/base"],
  "src/job": ["src/base"],
  "src/runtime": ["src/base", "src/store"],
  "src/sim": ["src/base", "src/store", "src/runtime"],
  "src/launch": ["src/base", "src/job"],
  "src/agent": ["src/base", "src/job", "src/launch"],
  "src/wire": ["src/base", "src/job", "src/launch", "src/store", "src/runtime"],
  "actors/protocol": ["src/job", "src/launch", "src/runtime", "src/store"],
  actors: ["actors/protocol", "src/job", "src/launch", "src/runtime", "src/store", "src/wire"],
  embed: ["actors/protocol", "src/base", "src/job", "src/launch", "src/runtime", "src/store"],
  bin: ["embed", "src/agent", "src/base", "src/job", "src/launch", "src/store", "src/wire"],
};
/** The contract of an actor: types alone. Whoever is an actor's port knows it, below the runtime too. */
const contract = "src/runtime/actor.ts";

type Import = Readonly<{ path: string; isOfTypes: boolean }>;
type Source = Readonly<{ path: string; text: string; lines: readonly string[] }>;

function filesIn(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    if (entry.name === "__pycache__" || entry.name.endsWith(".egg-info") || entry.name === "out") return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? filesIn(path) : [path];
  });
}

function importsOf({ path, text }: Source): Import[] {
  return [...text.matchAll(/^(?:import|export) (type )?(?:[^;]*? from )?"([^"]+)";|import\("([^"]+)"\)/gm)].map(([, type, fixed, later]) => {
    const named = fixed ?? later ?? "";
    return { path: named.startsWith(".") ? join(dirname(path), named).replace(/\.js$/, ".ts") : named, isOfTypes: type !== undefined };
  });
}

function layerOf(path: string): string {
  return path.startsWith("src/") || path.startsWith("actors/protocol/") ? path.split("/", 2).join("/") : (path.split("/", 1)[0] ?? "");
}

/** Every function of a file with the lines that it takes, but for the suites of tests. */
function longFunctions({ path, text }: Source): string[] {
  const file = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true);
  const lineAt = (position: number): number => file.getLineAndCharacterOfPosition(position).line + 1;
  const found: string[] = [];
  const look = (node: ts.Node): void => {
    const lines = ts.isFunctionLike(node) ? lineAt(node.end) - lineAt(node.getStart()) + 1 : 0;
    if (lines > functionLinesMax) found.push(`${path}:${lineAt(node.getStart())} has ${lines} lines`);
    ts.forEachChild(node, look);
  };
  look(file);
  return found;
}

describe("the code base", () => {
  const paths = [...folders.flatMap(filesIn), "index.ts"];
  const sources: Source[] = paths.filter((path) => /\.(ts|mjs|py)$/.test(path)).map((path) => {
    const text = readFileSync(join(root, path), "utf8");
    return { path, text, lines: text.trimEnd().split("\n") };
  });
  const ours = sources.filter(({ path }) => path.endsWith(".ts"));
  const product = ours.filter(({ path }) => /^(actors|bin|embed|src|index)/.test(path));
  const linesLike = (among: readonly Source[], pattern: RegExp): string[] =>
    among.flatMap(({ path, lines }) => lines.flatMap((line, at) => (pattern.test(line) ? [`${path}:${at + 1}: ${line.trim()}`] : [])));

  it("has no file over 400 lines but those that are known", () => {
    expect(sources.filter(({ path, lines }) => lines.length > (longFiles[path] ?? fileLinesMax)).map(({ path, lines }) => `${path}: ${lines.length}`)).to.deep.equal([]);
  });

  it("has no function over 80 lines", () => {
    expect(product.flatMap(longFunctions)).to.deep.equal([]);
  });

  it("has no line over 180 columns", () => {
    const scripted = sources.filter(({ path }) => !path.startsWith("test/")); // There a line may be a whole Python script.
    expect(linesLike(scripted, new RegExp(`^.{${lineLengthMax + 1}}`))).to.deep.equal([]);
  });

  it("names no file or folder after nothing: utils, common, helpers, misc", () => {
    expect(paths.filter((path) => path.split("/").some((part) => /^(utils?|common|helpers?|misc|shared)(\.|$)/.test(part)))).to.deep.equal([]);
  });

  it("spells the names of its files in kebab-case", () => {
    expect(ours.filter(({ path }) => !/^[a-z0-9/.-]+$/.test(path)).map(({ path }) => path)).to.deep.equal([]);
  });

  it("begins each file with a comment that says what it is for", () => {
    const isBegun = ({ path, text }: Source): boolean => /^(#!.*\n)?(\/\*\*|""")/.test(text) || /^test\/.*\.test\.ts$/.test(path);
    expect(sources.filter((source) => !isBegun(source)).map(({ path }) => path)).to.deep.equal([]);
  });

  it("leaves nothing for later", () => {
    expect(linesLike(sources, /\b(TO[D]O|FIX[M]E|X[X]X)\b/)).to.deep.equal([]);
  });

  it("prints only where a command does", () => {
    expect(linesLike(product.filter(({ path }) => !path.startsWith("bin/")), /\bconsole\.|process\.std(out|err)\.write/)).to.deep.equal([]);
  });

  it("runs all its tests", () => {
    expect(linesLike(ours.filter(({ path }) => path.startsWith("test/")), /\b(describe|it)\.(only|skip)\(/)).to.deep.equal([]);
  });

  it("sleeps in no test", () => {
    const virtual = ours.filter(({ path }) => /^test\/(unit|scenario|simulation)\/.*\.test\.ts$/.test(path));
    expect(linesLike(virtual, /\bsleep\(|new Promise\(\(resolve\) => setTimeout\(resolve, [0-9_]+\)/)).to.deep.equal([]);
  });

  it("takes no clock, no randomness and no machine into a rule or an actor", () => {
    const rules = ours.filter(({ path }) => /^(src\/job|actors)\//.test(path));
    expect(linesLike(rules, /\b(Date\.now|new Date\(\)|Math\.random|setTimeout|setInterval|performance\.now|randomUUID|process\.(env|hrtime))\b/)).to.deep.equal([]);
    expect(rules.flatMap((source) => importsOf(source).filter(({ path }) => path.startsWith("node:")).map(({ path }) => `${source.path} imports ${path}`))).to.deep.equal([]);
  });

  it("imports in one direction: bin, then actors and embed, then src from its top to its bottom", () => {
    const wrong = product.flatMap((source) => {
      const allowed = layers[layerOf(source.path)];
      if (!allowed) return source.path === "index.ts" ? [] : [`${source.path} is in no layer`];
      return importsOf(source)
        .filter(({ path }) => /^(actors|bin|embed|src|index|test)/.test(path) && path.endsWith(".ts"))
        .filter(({ path, isOfTypes }) => layerOf(path) !== layerOf(source.path) && !allowed.includes(layerOf(path)) && !(isOfTypes && path === contract))
        .map(({ path }) => `${source.path} imports ${path}`);
    });
    expect(wrong).to.deep.equal([]);
  });

  it("lets no layer import itself by way of others", () => {
    const reaches = (from: string, seen: ReadonlySet<string> = new Set()): Set<string> =>
      new Set((layers[from] ?? []).filter((to) => !seen.has(to)).flatMap((to) => [to, ...reaches(to, new Set([...seen, to]))]));
    expect(Object.keys(layers).filter((layer) => reaches(layer).has(layer))).to.deep.equal([]);
  });

  it("lets no actor import another's code: only its messages", () => {
    const actors = ours.filter(({ path }) => /^actors\/[^/]+$/.test(path));
    expect(actors).to.have.length(8);
    expect(actors.flatMap((source) => importsOf(source).filter(({ path }) => /^actors\/[^/]+$/.test(path)).map(({ path }) => `${source.path} imports ${path}`))).to.deep.equal([]);
  });

  it("exports nothing that nobody uses", () => {
    const counts = new Map<string, number>();
    for (const { text } of sources) for (const [word] of text.matchAll(/\w+/g)) counts.set(word, (counts.get(word) ?? 0) + 1);
    const pattern = /^export (?:async )?(?:function|class|const|type|interface) (\w+)/gm;
    const exported = ours.flatMap(({ path, text }) => [...text.matchAll(pattern)].map(([, name = ""]) => ({ path, name })));
    expect(exported.filter(({ name }) => (counts.get(name) ?? 0) < 2).map(({ path, name }) => `${path}: ${name}`)).to.deep.equal([]);
  });
});
