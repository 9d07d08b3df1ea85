/** The codes in the source and those of docs/errors.md are the same. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { statusOfCode } from "../../src/wire/http-error.js";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const page = readFileSync(join(root, "docs/errors.md"), "utf8");
/** Words in capitals that are no codes of ours: variables of the environment, of SQLite, of Node and of DLRover. */
const foreign = /^(PET|SQLITE|ERR|DROVER|CUDA|LC|OMP|XDG|MKL|TORCH|TORCHELASTIC|PYTHON|NODE|LD|NO_COLOR|NO_PROXY|VIRTUAL_ENV|DLROVER|JOB_UID)(_|$)/;

function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "dlrover" ? [] : sources(path); // Words of DLRover's wire are no codes of ours.
    return entry.name.endsWith(".ts") ? [path] : [];
  });
}

function codesIn(text: string): string[] {
  const words = [...text.matchAll(/"([A-Z]+(?:_[A-Z]+)+)"/g)].map(([, word = ""]) => word);
  const named = [...text.matchAll(/(?:Error|usage)\(\s*"([A-Z_]+)"/g)].map(([, word = ""]) => word);
  return [...words, ...named].filter((word) => !foreign.test(word));
}

describe("the codes of errors", () => {
  const used = new Set(Object.keys(statusOfCode));
  for (const path of ["src", "actors", "bin", "embed"].flatMap(sources)) for (const code of codesIn(readFileSync(join(root, path), "utf8"))) used.add(code);
  const documented = new Set([...page.matchAll(/`([A-Z]+(?:_[A-Z]+)*)`/g)].map(([, code = ""]) => code).filter((code) => !foreign.test(code)));

  it("are all documented in docs/errors.md", () => {
    expect([...used].filter((code) => !documented.has(code))).to.deep.equal([]);
  });

  it("are all still used where they are documented", () => {
    expect([...documented].filter((code) => !used.has(code) && code !== "HANG")).to.deep.equal([]);
  });

  it("have the status over HTTP that the page says", () => {
    for (const [, codes = "", status = ""] of page.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \| (\d{3}) \|/gm)) {
      for (const [, code = ""] of codes.matchAll(/`([A-Z_]+)`/g)) expect(statusOfCode[code], code).to.equal(Number(status));
    }
    const shown = new Set([...page.matchAll(/^\| ((?:`[A-Z_]+`(?:, )?)+) \| \d{3} \|/gm)].flatMap(([, codes = ""]) => codes.match(/[A-Z_]+/g) ?? []));
    expect(Object.keys(statusOfCode).filter((code) => !shown.has(code))).to.deep.equal([]);
  });
});
