/** Messages as the real package writes them, read to the field, written again and read again. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { messageClasses } from "../../src/wire/dlrover/message-classes.js";
import { readMessage, writeMessage } from "../../src/wire/dlrover/message-codec.js";
import { readPickle } from "../../src/wire/dlrover/pickle-reader.js";
import { PyFloat, PyObject, type PickleValue } from "../../src/wire/dlrover/pickle-value.js";

type Vector = Readonly<{ cls: string; note: string; fields: Record<string, unknown>; pickle_b64: string }>;

const path = fileURLToPath(new URL("../../../test/fixtures/dlrover-golden.json", import.meta.url));
const { vectors: all } = JSON.parse(readFileSync(path, "utf8")) as { vectors: (Vector | { cls: null })[] };
const vectors = all.filter((vector): vector is Vector => vector.cls !== null); // One is a bare None.
const classes = new Set(Object.keys(messageClasses));
const bytesOf = (vector: Vector): Buffer => Buffer.from(vector.pickle_b64, "base64");

/** As golden.json says it. */
function told(value: PickleValue): unknown {
  if (value instanceof PyFloat) return { _float: value.value };
  if (value instanceof Uint8Array) return { _b64: Buffer.from(value).toString("base64") };
  if (Array.isArray(value)) return (value as PickleValue[]).map(told);
  if (value instanceof PyObject) return { _cls: value.cls, ...Object.fromEntries([...value.fields].map(([key, each]) => [key, told(each)])) };
  if (value instanceof Map) return { _dict: [...(value as ReadonlyMap<string, PickleValue>)].map(([key, each]) => [key, told(each)]) };
  return typeof value === "bigint" ? { _int: String(value) } : value;
}

function expected(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expected);
  if (typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value)) return { _int: "any" };
  if (typeof value !== "object" || value === null) return value;
  if ("_float" in value) return { _float: Number(value._float) };
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, expected(each)]));
}

const sameInts = (value: unknown): unknown => JSON.parse(JSON.stringify(value).replace(/\{"_int":"[^"]*"\}/g, '"int"'));

describe("messages as the real package writes them", () => {
  it("are of the classes of the table, all of them", () => {
    expect(new Set(vectors.map(({ cls }) => cls))).to.deep.equal(classes);
    expect(classes.size).to.equal(59);
  });

  for (const vector of vectors) {
    it(`${vector.cls} (${vector.note}) is read to the field, and the same after it was written`, () => {
      const value = readPickle(bytesOf(vector), classes);
      expect(sameInts(told(value))).to.deep.equal(sameInts(expected(vector.fields)));
      const message = readMessage(bytesOf(vector));
      expect(message.cls).to.equal(vector.cls);
      expect(readMessage(writeMessage(message.cls, message.fields))).to.deep.equal(message);
    });
  }
});
