/** What Drover writes is loaded by the real package's own unpickler, and equals what the package wrote. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { messageClasses, type MessageName } from "../../src/wire/dlrover/message-classes.js";
import { writeMessage } from "../../src/wire/dlrover/message-codec.js";
import { readPickle } from "../../src/wire/dlrover/pickle-reader.js";
import { PickleWriter } from "../../src/wire/dlrover/pickle-writer.js";
import { runPython } from "./dlrover-python.js";

const path = fileURLToPath(new URL("../../../test/fixtures/dlrover-golden.json", import.meta.url));
const { vectors } = JSON.parse(readFileSync(path, "utf8")) as { vectors: { cls: string | null; note: string; pickle_b64: string }[] };

const classes = new Set(Object.keys(messageClasses));

const program = `
import base64, dataclasses, json, sys
from dlrover.python.common import comm
from dlrover.python.util.dlrover_pickle import loads

def plain(value):
    if dataclasses.is_dataclass(value):
        return [type(value).__name__, [(key, plain(each)) for key, each in value.__dict__.items()]]
    if isinstance(value, dict):
        return ["dict", [(plain(key), plain(each)) for key, each in value.items()]]
    if isinstance(value, (list, tuple)):
        return ["list", [plain(each) for each in value]]
    return [type(value).__name__, repr(value)]

differ = []
for name, ours, theirs in json.load(sys.stdin):
    ours, theirs = (plain(loads(base64.b64decode(text))) for text in (ours, theirs))
    if ours != theirs:
        differ.append([name, repr(ours)[:300], repr(theirs)[:300]])
print(json.dumps(differ))
`;

describe("messages that Drover writes", function () {
  this.timeout(600_000);

  it("are equal objects to the real package's restricted unpickler, all of them", () => {
    const pairs = vectors.flatMap(({ cls, pickle_b64 }) => {
      if (cls === null) return [];
      const writer = new PickleWriter().begin();
      writer.value(readPickle(Buffer.from(pickle_b64, "base64"), classes));
      return [[cls, writer.end().toString("base64"), pickle_b64]];
    });
    expect(pairs).to.have.length(120);
    expect(runPython(program, JSON.stringify(pairs))).to.deep.equal([]);
  });

  it("of its own have the defaults that the real classes have", () => {
    // The real default of GPUStats.gpu_utilization is an int though its type is float; Drover reads that class and never writes one of its own.
    const defaults = vectors.filter((vector) => vector.cls !== null && vector.cls !== "GPUStats" && vector.note === "defaults");
    const pairs = defaults.map(({ cls, pickle_b64 }) => [cls, writeMessage(cls as MessageName).toString("base64"), pickle_b64]);
    expect(pairs).to.have.length(58);
    expect(runPython(program, JSON.stringify(pairs))).to.deep.equal([]);
  });
});
