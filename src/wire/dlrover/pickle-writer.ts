/**
 * Writes values as a Python pickle of protocol 4, without a memo and without frames: what Python's unpicklers read as well.
 *
 * A text, bytes or an int is as long as it needs; a dict keeps its order.
 */

import { bytesOf, hasLoneSurrogate } from "./pickle-text.js";
import { messageModule, PyFloat, PyObject, type PickleValue } from "./pickle-value.js";

/** A short text as it is written: names of modules, classes and fields are the same again and again. */
export function encodedName(name: string): Buffer {
  return Buffer.concat([Buffer.from([0x8c, name.length]), Buffer.from(name, "ascii")]);
}

/** By class; as many as there are classes. */
const prefixes = new Map<string, Buffer>();

export class PickleWriter {
  #bytes = Buffer.allocUnsafe(512);
  #at = 0;

  /** Begins a pickle anew; the writer is used again and again. */
  begin(): this {
    this.#at = 0;
    this.byte(0x80);
    this.byte(4);
    return this;
  }

  end(): Buffer {
    this.byte(0x2e);
    const written = Buffer.from(this.#bytes.subarray(0, this.#at));
    if (this.#bytes.length > 1024 * 1024) this.#bytes = Buffer.allocUnsafe(512);
    return written;
  }

  byte(opcode: number): void {
    this.#room(1);
    this.#bytes[this.#at++] = opcode;
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#at);
    this.#at += bytes.length;
  }

  int(value: number | bigint): void {
    if (typeof value === "bigint" || !Number.isSafeInteger(value) || value < -0x8000_0000 || value > 0x7fff_ffff) return this.#long(BigInt(value));
    this.#room(5);
    if (value < 0 || value > 0xffff) {
      this.#bytes[this.#at] = 0x4a;
      this.#at = this.#bytes.writeInt32LE(value, this.#at + 1);
    } else if (value > 0xff) {
      this.#bytes[this.#at] = 0x4d;
      this.#at = this.#bytes.writeUInt16LE(value, this.#at + 1);
    } else {
      this.#bytes[this.#at++] = 0x4b;
      this.#bytes[this.#at++] = value;
    }
  }

  #long(value: bigint): void {
    let size = 1;
    while (BigInt.asIntN(size * 8, value) !== value) size += 1;
    this.byte(0x8a);
    this.byte(size);
    for (let at = 0; at < size; at++) this.byte(Number((value >> BigInt(at * 8)) & 0xffn));
  }

  float(value: number): void {
    this.#room(9);
    this.#bytes[this.#at] = 0x47;
    this.#at = this.#bytes.writeDoubleBE(value, this.#at + 1);
  }

  bool(value: boolean): void {
    this.byte(value ? 0x88 : 0x89);
  }

  text(value: string): void {
    if (value.length > 80 || hasLoneSurrogate(value)) return this.#sized(0x8c, 0x58, bytesOf(value));
    this.#room(2 + value.length * 3);
    const length = this.#bytes.write(value, this.#at + 2, "utf8");
    this.#bytes[this.#at] = 0x8c;
    this.#bytes[this.#at + 1] = length;
    this.#at += 2 + length;
  }

  bytes(value: Uint8Array): void {
    this.#sized(0x43, 0x42, value);
  }

  value(value: PickleValue): void {
    if (value === null) this.byte(0x4e);
    else if (typeof value === "boolean") this.bool(value);
    else if (typeof value === "number" || typeof value === "bigint") this.int(value);
    else if (typeof value === "string") this.text(value);
    else if (value instanceof Uint8Array) this.bytes(value);
    else if (value instanceof PyFloat) this.float(value.value);
    else if (value instanceof Map) this.#dict(value as ReadonlyMap<string | number | bigint, PickleValue>);
    else if (value instanceof PyObject) this.#object(value);
    else this.list(value as readonly PickleValue[], (item) => this.value(item));
  }

  list<Item>(items: Iterable<Item>, write: (item: Item) => void): void {
    this.byte(0x5d);
    this.byte(0x28);
    for (const item of items) write(item);
    this.byte(0x65);
  }

  /** `write` writes key and value of each pair. */
  pairs<Pair>(pairs: Iterable<Pair>, write: (pair: Pair) => void): void {
    this.byte(0x7d);
    this.byte(0x28);
    for (const pair of pairs) write(pair);
    this.byte(0x75);
  }

  #dict(dict: ReadonlyMap<string | number | bigint, PickleValue>): void {
    this.pairs(dict, ([key, value]) => {
      this.value(key);
      this.value(value);
    });
  }

  /** The beginning of an instance: module, name, class, no arguments, new. */
  instance(cls: string): void {
    const known = prefixes.get(cls);
    if (known) return this.raw(known);
    const prefix = Buffer.concat([encodedName(messageModule), encodedName(cls), Buffer.from([0x93, 0x29, 0x81])]);
    prefixes.set(cls, prefix);
    this.raw(prefix);
  }

  #object({ cls, fields }: PyObject): void {
    this.instance(cls);
    if (fields.size === 0) return;
    this.#dict(fields);
    this.byte(0x62);
  }

  #sized(short: number, long: number, bytes: Uint8Array): void {
    if (bytes.length <= 0xff) {
      this.byte(short);
      this.byte(bytes.length);
    } else {
      this.#room(5);
      this.#bytes[this.#at] = long;
      this.#at = this.#bytes.writeUInt32LE(bytes.length, this.#at + 1);
    }
    this.raw(bytes);
  }

  #room(count: number): void {
    if (this.#at + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + count));
    larger.set(this.#bytes.subarray(0, this.#at));
    this.#bytes = larger;
  }
}
