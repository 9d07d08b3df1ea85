/** What the documents say that can be checked: their links, the commands and flags that they name, the names of files. */

import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { Command } from "commander";
import { addRunFlags } from "../bin/run-flags.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const text = (path: string): string => readFileSync(join(root, path), "utf8");
const help = (...args: string[]): string => execFileSync(process.execPath, [join(root, "dist/bin/drover.js"), ...args], { encoding: "utf8" });
const flagsIn = (page: string): Set<string> => new Set([...page.matchAll(/(?<![\w-])--[a-z][a-z-]*[a-z](?!\w)/g)].map(([flag]) => flag));

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading.toLowerCase().replace(/[^\w\- ]/g, "").replaceAll(" ", "-"));
}

describe("the documents", () => {
  const docs = readdirSync(join(root, "docs"), { recursive: true, encoding: "utf8" }).filter((path) => path.endsWith(".md"));
  const pages = [...readdirSync(root).filter((path) => path.endsWith(".md")), ...docs.map((path) => join("docs", path))];
  const commands = [...help("--help").matchAll(/^ {2}([a-z]+) .*/gm)].map(([, name = ""]) => name);
  const bin = Object.keys((JSON.parse(text("package.json")) as { scripts: object }).scripts);

  it("link to what is there", () => {
    const broken = pages.flatMap((page) =>
      [...text(page).matchAll(/\]\((?!https?:)([^)#\s]*)(?:#([^)]*))?\)/g)].flatMap(([whole, to = "", anchor]) => {
        const path = to === "" ? page : join(dirname(page), to);
        const isThere = existsSync(join(root, path)) && (anchor === undefined || anchorsOf(text(path)).includes(anchor));
        return isThere ? [] : [`${page}: ${whole}`];
      }),
    );
    expect(broken).to.deep.equal([]);
  });

  it("name files that are there", () => {
    const named = /`((?:actors|bin|embed|src|test|docs|scripts|examples|benchmarks|python)\/[\w./-]+)`/g;
    const missing = pages.flatMap((page) => [...text(page).matchAll(named)].flatMap(([, path = ""]) => (existsSync(join(root, path)) ? [] : [`${page}: ${path}`])));
    expect(missing).to.deep.equal([]);
  });

  it("name commands that there are, of drover and of npm", () => {
    const wrong = pages.flatMap((page) => {
      const code = [...text(page).matchAll(/```[^]*?```|^ {4}.*$|`[^`\n]+`/gm)].map(([part]) => part).join("\n");
      const ours = [...code.matchAll(/(?:^|[`$(]|\n) *drover ([a-z]+)/g)].map(([, name = ""]) => name).filter((name) => !commands.includes(name) && name !== "help");
      const npms = [...code.matchAll(/npm run ([a-z]+)/g)].map(([, name = ""]) => name).filter((name) => !bin.includes(name));
      return [...ours, ...npms].map((name) => `${page}: ${name}`);
    });
    expect(wrong).to.deep.equal([]);
  });

  it("have every command and every flag in docs/cli.md, and none that the command does not take", () => {
    const page = text("docs/cli.md");
    const run = new Command();
    addRunFlags(run);
    const hidden = run.options.map(({ long }) => long ?? "").filter((long) => !long.includes("_"));
    const taken = new Set([...hidden, ...[[], ...commands.map((name) => (name === "help" ? [] : [name]))].flatMap((args) => [...flagsIn(help(...args, "--help"))])]);
    expect([...taken].filter((flag) => !flagsIn(page).has(flag)), "not in docs/cli.md").to.deep.equal([]);
    expect([...flagsIn(page)].filter((flag) => !taken.has(flag)), "not taken by the command").to.deep.equal([]);
    expect(commands.filter((name) => name !== "help" && !page.includes(`drover ${name}`))).to.deep.equal([]);
  });

  it("have each decision on a page of its own, numbered without a gap", () => {
    const numbers = readdirSync(join(root, "docs/decisions")).map((name) => /^(\d{4})-[a-z0-9-]+\.md$/.exec(name)?.[1] ?? name).sort();
    expect(numbers).to.deep.equal(numbers.map((_, at) => String(at + 1).padStart(4, "0")));
  });
});
