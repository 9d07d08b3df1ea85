/** Whatever comes in place of a pickle is read or refused: no crash, no hang, no more memory than the input calls for. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import fc from "fast-check";
import { messageClasses, type MessageName } from "../../src/wire/dlrover/message-classes.js";
import { readMessage, writeMessage } from "../../src/wire/dlrover/message-codec.js";
import { PickleError } from "../../src/wire/dlrover/pickle-error.js";
import { readPickle } from "../../src/wire/dlrover/pickle-reader.js";
import { PickleWriter } from "../../src/wire/dlrover/pickle-writer.js";
import { messageModule, PyFloat, type PickleValue } from "../../src/wire/dlrover/pickle-value.js";

const path = fileURLToPath(new URL("../../../test/fixtures/dlrover-golden.json", import.meta.url));
const golden = (JSON.parse(readFileSync(path, "utf8")) as { vectors: { pickle_b64: string }[] }).vectors.map(({ pickle_b64 }) => Buffer.from(pickle_b64, "base64"));
const small = golden.filter((bytes) => bytes.length < 2_000);
const classes = new Set(Object.keys(messageClasses));
const opcodes = [0x80, 0x95, 0x28, 0x4e, 0x88, 0x4b, 0x4a, 0x8a, 0x47, 0x8c, 0x58, 0x43, 0x5d, 0x61, 0x65, 0x7d, 0x73, 0x75, 0x29, 0x85, 0x74, 0x93, 0x63, 0x81, 0x62, 0x94, 0x68, 0x6a, 0x72, 0x2e];
const foreign = [0x52, 0x69, 0x6f, 0x92, 0x82, 0x50, 0x51, 0x30, 0x32, 0x49, 0x53]; // REDUCE, INST, OBJ, NEWOBJ_EX, EXT1, PERSID, BINPERSID, POP, DUP, INT, STRING

function tryReading(bytes: Uint8Array): "read" | "refused" {
  try {
    const message = readMessage(bytes);
    writeMessage(message.cls, message.fields as never);
    return "read";
  } catch (error) {
    if (!(error instanceof PickleError)) throw error;
    expect(error.offset).to.be.within(0, bytes.length);
    return "refused";
  }
}

/** A deterministic source: 100,000 draws through fast-check's shrinking would take minutes. */
function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function mutated(draw: (below: number) => number): Buffer {
  let bytes = Buffer.from(small[draw(small.length)] ?? []);
  for (let change = 1 + draw(4); change > 0; change--) {
    const at = draw(bytes.length + 1);
    const kind = draw(6);
    if (kind === 0 && at < bytes.length) bytes[at] = draw(256);
    else if (kind === 1 && at < bytes.length) bytes[at] = opcodes[draw(opcodes.length)] ?? 0;
    else if (kind === 2) bytes = Buffer.concat([bytes.subarray(0, at), Buffer.from([opcodes[draw(opcodes.length)] ?? 0]), bytes.subarray(at)]);
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(Math.min(bytes.length, at + 1 + draw(8)))]);
    else if (kind === 4) bytes = bytes.subarray(0, at);
    else {
      const other = small[draw(small.length)] ?? bytes;
      bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(draw(other.length))]);
    }
    if (bytes.length === 0) return bytes;
  }
  return bytes;
}

describe("reading pickles", () => {
  it("survives 120,000 golden messages that were changed", function () {
    this.timeout(60_000);
    const draw = random(20261123);
    const seen = { read: 0, refused: 0 };
    const before = process.memoryUsage().heapUsed;
    for (let count = 0; count < 120_000; count++) seen[tryReading(mutated(draw))] += 1;
    expect(seen.read, "changes that do no harm").to.be.above(1_000);
    expect(seen.refused).to.be.above(50_000);
    expect(process.memoryUsage().heapUsed - before).to.be.below(200 * 2 ** 20);
  });

  it("survives any bytes, and any sequence of opcodes", () => {
    const step = fc.tuple(fc.constantFrom(...opcodes), fc.uint8Array({ maxLength: 6 })).map(([opcode, rest]) => Buffer.from([opcode, ...rest]));
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void tryReading(bytes)), { numRuns: 10_000 });
    fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => void tryReading(Buffer.concat(steps))), { numRuns: 10_000 });
  });

  it("refuses every opcode that looks up, calls or constructs, and says where", () => {
    for (const opcode of foreign) {
      const bytes = Buffer.from([0x80, 4, 0x4e, opcode, 0x2e]);
      expect(() => readPickle(bytes, classes)).to.throw(PickleError, /^byte 3: opcode 0x/);
    }
  });

  it("refuses every class but those of the table, by its full name", () => {
    const named = (module: string, name: string): Buffer =>
      Buffer.concat([...[module, name].map((text) => Buffer.concat([Buffer.from([0x8c, text.length]), Buffer.from(text)])), Buffer.from([0x93, 0x29, 0x81, 0x2e])]);
    expect(() => readMessage(named("os", "system"))).to.throw(PickleError, /os\.system/);
    for (const name of ["Message", "pickle.loads", "HeartBeat.__init__", "__builtins__"]) {
      expect(() => readMessage(named(messageModule, name)), name).to.throw(PickleError, /the class/);
    }
    expect(readMessage(named(messageModule, "PsReady")).cls).to.equal("PsReady");
  });

  it("is bounded in size, depth, number of values and length of ints", () => {
    const nested = (depth: number): Buffer => Buffer.from([...Array.from({ length: depth }, () => 0x5d), ...Array.from({ length: depth - 1 }, () => 0x61), 0x2e]);
    expect(readPickle(nested(20), classes)).to.be.an("array");
    expect(() => readPickle(nested(100_000), classes)).to.throw(PickleError, /33 deep/);
    expect(() => readPickle(Buffer.alloc(2_000, 0x4e), classes, { valuesMax: 1_000 })).to.throw(PickleError, /at most 1000/);
    expect(() => readPickle(Buffer.alloc(2_000, 0x4e), classes, { bytesMax: 1_000 })).to.throw(PickleError, /at most 1000/);
    expect(() => readPickle(Buffer.from([0x8b, 0xff, 0xff, 0xff, 0x7f, 0x2e]), classes)).to.throw(PickleError, /int of 2147483647 bytes/);
    expect(() => readPickle(Buffer.from([0x42, 0xff, 0xff, 0xff, 0xff, 0x2e]), classes)).to.throw(PickleError, /bytes are to come/);
    expect(() => readPickle(Buffer.from([0x5d, 0x94, 0x68, 0, 0x61, 0x2e]), classes)).to.throw(PickleError, /memo 0/);
  });

  it("gives back every value that was written: kinds, order of dicts, lone surrogates", () => {
    const atom: fc.Arbitrary<PickleValue> = fc.oneof(
      fc.constant(null),
      fc.boolean(),
      fc.maxSafeInteger(),
      fc.bigInt({ min: 2n ** 53n, max: 2n ** 200n }),
      fc.bigInt({ min: -(2n ** 200n), max: -(2n ** 53n) }),
      fc.double().map((value) => new PyFloat(value)),
      fc.string({ unit: "binary" }),
      fc.array(fc.integer({ min: 0, max: 0xffff })).map((codes) => String.fromCharCode(...codes)),
      fc.uint8Array({ maxLength: 400 }),
    );
    const key = fc.oneof(fc.string(), fc.maxSafeInteger());
    const { value } = fc.letrec<{ value: PickleValue }>((tie) => ({
      value: fc.oneof({ maxDepth: 4 }, atom, fc.array(tie("value"), { maxLength: 5 }), fc.array(fc.tuple(key, tie("value")), { maxLength: 5 }).map((pairs) => new Map(pairs))),
    }));
    const writer = new PickleWriter();
    fc.assert(
      fc.property(value, (written) => {
        writer.begin().value(written);
        expect(readPickle(writer.end(), classes)).to.deep.equal(written);
      }),
      { numRuns: 3_000 },
    );
  });

  it("gives every message its defaults where fields are missing or None", () => {
    for (const cls of Object.keys(messageClasses) as MessageName[]) {
      const bare = writeMessage(cls);
      const message = readMessage(bare);
      expect(message.cls).to.equal(cls);
      expect(writeMessage(cls, message.fields as never).equals(bare)).to.equal(true);
    }
  });
});
