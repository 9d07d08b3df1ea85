/** The kinds of fields that DLRover's messages have: how each is read, leniently, and written. Read leniently: what is missing, None or of another kind is the default. */

import type { KvValue } from "../../job/dlrover/dlrover-request.js";
import { encodedName, PickleWriter } from "./pickle-writer.js";
import { PyFloat, PyObject, type PickleValue } from "./pickle-value.js";

export type Field<Value> = Readonly<{
  fallback: Value;
  read(value: PickleValue | undefined): Value;
  write(writer: PickleWriter, value: Value): void;
}>;

export type Fields = Readonly<Record<string, Field<unknown>>>;
export type ValuesOf<Of> = { readonly [Name in keyof Of]: Of[Name] extends Field<infer Value> ? Value : never };

/** A finite number, else null: nan and inf have no meaning in any field of DLRover's. */
function numberOf(value: PickleValue | undefined): number | null {
  const isNumber = typeof value === "number" || typeof value === "boolean" || typeof value === "bigint";
  const number = value instanceof PyFloat ? value.value : isNumber ? Number(value) : null;
  return number !== null && Number.isFinite(number) ? number : null;
}

export function int(fallback = 0): Field<number> {
  return {
    fallback,
    read: (value) => Math.trunc(numberOf(value) ?? fallback),
    write: (writer, value) => writer.int(value),
  };
}

export function float(fallback = 0): Field<number> {
  return { fallback, read: (value) => numberOf(value) ?? fallback, write: (writer, value) => writer.float(value) };
}

export function bool(fallback = false): Field<boolean> {
  const read = (value: PickleValue | undefined): boolean => (typeof value === "boolean" ? value : (numberOf(value) ?? Number(fallback)) !== 0);
  return { fallback, read, write: (writer, value) => writer.bool(value) };
}

/** A dict or a list where a text should be is its JSON: some agents send their launch configuration so. */
export function text(fallback = ""): Field<string> {
  const read = (value: PickleValue | undefined): string => {
    if (typeof value === "string") return value;
    return value === undefined || value === null ? fallback : JSON.stringify(plain(value));
  };
  return { fallback, read, write: (writer, value) => writer.text(value) };
}

const noBytes = new Uint8Array();

export function bytes(): Field<Uint8Array> {
  return { fallback: noBytes, read: (value) => (value instanceof Uint8Array ? value : noBytes), write: (writer, value) => writer.bytes(value) };
}

/** A value of the key-value store, of whatever kind. */
export function kv(): Field<KvValue> {
  return {
    fallback: noBytes,
    read: (value) => {
      if (value === undefined) return noBytes;
      const isKnown = typeof value === "number" || typeof value === "string" || value instanceof Uint8Array;
      if (isKnown || (typeof value === "bigint" && BigInt.asIntN(64, value) === value)) return value;
      const writer = new PickleWriter().begin();
      writer.value(value);
      return { pickle: writer.end() };
    },
    write: (writer, value) => {
      if (typeof value === "number" || typeof value === "bigint") writer.int(value);
      else if (typeof value === "string") writer.text(value);
      else if (value instanceof Uint8Array) writer.bytes(value);
      else writer.raw(value.pickle.subarray(2, -1)); // Without its protocol and its end.
    },
  };
}

export function list<Item>(of: Field<Item>): Field<readonly Item[]> {
  return {
    fallback: [],
    read: (value) => (Array.isArray(value) ? (value as PickleValue[]).map((item) => of.read(item)) : []),
    write: (writer, items) => writer.list(items, (item) => of.write(writer, item)),
  };
}

/** Keys are text or whole numbers, as `keyOf` says; pairs, for their order counts. */
export function dict<Key extends string | number, Value>(keyOf: Field<Key>, of: Field<Value>): Field<readonly (readonly [Key, Value])[]> {
  return {
    fallback: [],
    read: (value) => {
      if (!(value instanceof Map)) return [];
      return [...(value as ReadonlyMap<string | number | bigint, PickleValue>)].map(([key, each]) => [keyOf.read(key), of.read(each)] as const);
    },
    write: (writer, pairs) =>
      writer.pairs(pairs, ([key, value]) => {
        keyOf.write(writer, key);
        of.write(writer, value);
      }),
  };
}

/** Another message within a message. */
export function object<Of extends Fields>(cls: string, fields: Of): Field<ValuesOf<Of>> {
  return {
    fallback: readFields(fields, null),
    read: (value) => readFields(fields, value instanceof PyObject ? value : null),
    write: (writer, values) => writeObject(writer, cls, fields, values),
  };
}

export function readFields<Of extends Fields>(fields: Of, object: PyObject | null): ValuesOf<Of> {
  const values: Record<string, unknown> = {};
  for (const name in fields) {
    const value = object?.fields.get(name);
    const field = fields[name];
    values[name] = value === undefined || value === null ? field?.fallback : field?.read(value);
  }
  return values as ValuesOf<Of>;
}

type NamedField = Readonly<{ name: string; encoded: Buffer; field: Field<unknown> }>;

/** The fields of a class with their names as they are written, made once. */
const namedFields = new WeakMap<Fields, readonly NamedField[]>();

function named(fields: Fields): readonly NamedField[] {
  let list = namedFields.get(fields);
  if (!list) namedFields.set(fields, (list = Object.entries(fields).map(([name, field]) => ({ name, encoded: encodedName(name), field }))));
  return list;
}

/** What is not given is the default: all fields are sent, for Python's `BUILD` runs no constructor. */
export function writeObject<Of extends Fields>(writer: PickleWriter, cls: string, fields: Of, values: Partial<ValuesOf<Of>>): void {
  writer.instance(cls);
  const list = named(fields);
  if (list.length === 0) return;
  writer.pairs(list, ({ name, encoded, field }) => {
    writer.raw(encoded);
    field.write(writer, (values as Record<string, unknown>)[name] ?? field.fallback);
  });
  writer.byte(0x62);
}

/** As JSON has it; bytes by their number. */
export function plain(value: PickleValue): unknown {
  if (value instanceof PyFloat) return value.value;
  if (typeof value === "bigint") return Number(value);
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (Array.isArray(value)) return (value as PickleValue[]).map(plain);
  if (value instanceof Map) return Object.fromEntries([...(value as ReadonlyMap<string, PickleValue>)].map(([key, each]) => [key, plain(each)]));
  if (value instanceof PyObject) return plain(value.fields);
  return value;
}
