/** Files of ranks: tails, rotation, errors (src/agent). Real files, no processes. */

import { appendFileSync, mkdtempSync, openSync, readFileSync, rmSync, truncateSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { FileTail } from "../../src/agent/file-tail.js";
import { rotateIfLarge } from "../../src/agent/log-rotation.js";
import { errorTextOf, saysOutOfMemory } from "../../src/agent/rank-error.js";
import type { RankFiles } from "../../src/agent/rank-files.js";

let dir: string;
const path = (name: string): string => join(dir, name);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "drover-files-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

describe("the tail of a file", () => {
  it("gives whole lines, each once, from a file that comes later", () => {
    const tail = new FileTail(path("f"), 0);
    expect(tail.lines()).to.deep.equal([]);
    writeFileSync(path("f"), "");
    expect(tail.lines()).to.deep.equal([]);
    appendFileSync(path("f"), "one\ntw");
    expect(tail.lines()).to.deep.equal(["one"]);
    appendFileSync(path("f"), "o\n");
    expect(tail.lines()).to.deep.equal(["two"]);
    expect(tail.lines()).to.deep.equal([]);
    tail.close();
  });

  it("begins at the front of a file that was cut", () => {
    writeFileSync(path("f"), "a long line\n");
    const tail = new FileTail(path("f"), 100);
    expect(tail.lines()).to.deep.equal(["a long line"]);
    truncateSync(path("f"), 0);
    appendFileSync(path("f"), "new\n");
    expect(tail.lines()).to.deep.equal(["new"]);
    tail.close();
  });

  it("skips to the newest of very much", () => {
    writeFileSync(path("f"), `${"x".repeat(99)}\n`.repeat(10_000) + "last\n");
    const tail = new FileTail(path("f"), Number.MAX_SAFE_INTEGER);
    const lines = tail.lines();
    expect(lines.at(-1)).to.equal("last");
    expect(lines.length).to.be.below(3_000);
    tail.close();
  });
});

describe("rotation", () => {
  it("keeps so many files and loses nothing of a writer that pauses (T1)", async () => {
    const fd = openSync(path("out"), "a");
    for (const round of ["a", "b", "c", "d"]) {
      writeSync(fd, round.repeat(100));
      expect(await rotateIfLarge(path("out"), 50, 3)).to.equal(true);
    }
    writeSync(fd, "e");
    expect([readFileSync(path("out"), "utf8"), readFileSync(path("out.1"), "utf8"), readFileSync(path("out.2"), "utf8")]).to.deep.equal([
      "e",
      "d".repeat(100),
      "c".repeat(100),
    ]);
    expect(() => readFileSync(path("out.3"))).to.throw("ENOENT");
  });

  it("copies what comes while it copies (T2)", async () => {
    writeFileSync(path("out"), Buffer.alloc(3 * 1024 * 1024, "x"));
    const rotated = rotateIfLarge(path("out"), 1_024, 2);
    appendFileSync(path("out"), "late");
    await rotated;
    expect(readFileSync(path("out.1")).subarray(-4).toString()).to.equal("late");
  });

  it("leaves a small file, or none, alone, and cuts without a copy where one file is kept", async () => {
    writeFileSync(path("out"), "x");
    expect(await rotateIfLarge(path("out"), 50, 3)).to.equal(false);
    expect(await rotateIfLarge(path("none"), 50, 3)).to.equal(false);
    writeFileSync(path("out"), "x".repeat(100));
    expect(await rotateIfLarge(path("out"), 50, 1)).to.equal(true);
    expect(readFileSync(path("out"), "utf8")).to.equal("");
  });
});

describe("the error of a rank", () => {
  const files = (): RankFiles => ({ dir, stdout: path("out"), stderr: path("err"), progress: path("p"), error: path("error.json") });

  it("is the traceback of torchelastic's error file", () => {
    writeFileSync(path("err"), "noise\n");
    writeFileSync(path("error.json"), JSON.stringify({ message: { message: "ValueError: x", extraInfo: { py_callstack: "Traceback …\nValueError: x" } } }));
    expect(errorTextOf(files())).to.equal("Traceback …\nValueError: x");
    writeFileSync(path("error.json"), JSON.stringify({ message: "plain" }));
    expect(errorTextOf(files())).to.equal("plain");
  });

  it("is the end of stderr otherwise, at most 16 KiB of whole lines", () => {
    expect(errorTextOf(files())).to.equal("");
    writeFileSync(path("error.json"), '{"mess');
    writeFileSync(path("err"), `${"y".repeat(79)}\n`.repeat(1_000) + "RuntimeError: end\n");
    const text = errorTextOf(files());
    expect(text).to.match(/^y{79}\n/).and.to.match(/RuntimeError: end$/);
    expect(text.length).to.be.within(16_000, 16_384);
  });

  it("says whether memory was lacking", () => {
    for (const text of ["Traceback\nMemoryError", "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried", "numpy.core._exceptions.MemoryError: Unable"]) {
      expect(saysOutOfMemory(text), text).to.equal(true);
    }
    for (const text of ["", "MemoryError\nlater\nValueError: x", "ValueError: not a MemoryError"]) expect(saysOutOfMemory(text), text).to.equal(false);
  });
});
