/**
 * Reads a Python pickle as data: a small machine with a stack and a memo, that knows the opcodes which DLRover's messages are made of and no
 * others. Nothing is looked up, called or constructed by name: a class is a name of the allowed list, an instance a map of its fields.
 *
 * - P1  Every violation is a `PickleError` that says at which byte, what was found, and what is allowed.
 * - P2  Time and memory are linear in the size of the input: an opcode consumes a byte and makes one value at most. The memo gives back texts,
 *       bytes, numbers and classes only, so nothing contains itself, and nothing grows when it is written again.
 *
 * Facts: Python's pickletools (what the opcodes mean), DLRover's captured messages (which of them occur).
 */

import { PickleError } from "./pickle-error.js";
import { textFrom } from "./pickle-text.js";
import { messageModule, PyFloat, PyObject, type PickleValue } from "./pickle-value.js";

export type PickleLimits = Readonly<{
  /** Default 256 MiB, the most that DLRover's clients send. */
  bytesMax: number;
  /** Values within values; DLRover's messages need 6. Default 32. */
  depthMax: number;
  /** Default 1,000,000: one for each entry of the largest dict, and a few. */
  valuesMax: number;
  /** Bytes of an int. Default 64. */
  intBytesMax: number;
}>;

const defaults: PickleLimits = { bytesMax: 256 * 1024 * 1024, depthMax: 32, valuesMax: 1_000_000, intBytesMax: 64 };

/** What only the machine knows. */
class ClassName {
  readonly name: string;

  constructor(name: string) {
    this.name = name;
  }
}
type Item = PickleValue | ClassName;
type Dict = Map<string | number | bigint, PickleValue>;

/** `classes`: names of the message classes that may occur. Throws `PickleError`. */
export function readPickle(bytes: Uint8Array, classes: ReadonlySet<string>, limits: Partial<PickleLimits> = {}): PickleValue {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return new PickleMachine(buffer, classes, { ...defaults, ...limits }).run();
}

class PickleMachine {
  readonly #bytes: Buffer;
  readonly #classes: ReadonlySet<string>;
  readonly #limits: PickleLimits;
  readonly #stack: Item[] = [];
  /** How deep the value at the same place of the stack is. */
  readonly #depths: number[] = [];
  /** Where the batches that are open begin: nothing below the newest is touched before it is closed. */
  readonly #marks: number[] = [];
  readonly #memo: Item[] = [];
  #at = 0;
  #opcodeAt = 0;
  #values = 0;

  constructor(bytes: Buffer, classes: ReadonlySet<string>, limits: PickleLimits) {
    this.#bytes = bytes;
    this.#classes = classes;
    this.#limits = limits;
  }

  run(): PickleValue {
    const { bytesMax } = this.#limits;
    if (this.#bytes.length > bytesMax) throw new PickleError(bytesMax, `a pickle of ${this.#bytes.length} bytes`, `at most ${bytesMax}`);
    for (;;) {
      this.#opcodeAt = this.#at;
      const opcode = this.#byte();
      if (opcode === 0x2e) return this.#stop();
      this.#step(opcode);
    }
  }

  #step(opcode: number): void {
    switch (opcode) {
      case 0x80: {
        const protocol = this.#byte();
        if (protocol < 3 || protocol > 5) throw this.#error(`protocol ${protocol}`, "3, 4 or 5");
        return;
      }
      case 0x95: // FRAME
        return void this.#length8("a frame");
      case 0x28:
        this.#count();
        return void this.#marks.push(this.#stack.length);
      case 0x4e:
        return this.#push(null);
      case 0x88:
        return this.#push(true);
      case 0x89:
        return this.#push(false);
      case 0x4b:
        return this.#push(this.#byte());
      case 0x4d:
        return this.#push(this.#bytes.readUInt16LE(this.#take(2)));
      case 0x4a:
        return this.#push(this.#bytes.readInt32LE(this.#take(4)));
      case 0x8a:
        return this.#push(this.#long(this.#byte()));
      case 0x8b:
        return this.#push(this.#long(this.#bytes.readInt32LE(this.#take(4))));
      case 0x47:
        return this.#push(new PyFloat(this.#bytes.readDoubleBE(this.#take(8))));
      case 0x8c:
        return this.#push(this.#text(this.#byte()));
      case 0x58:
        return this.#push(this.#text(this.#bytes.readUInt32LE(this.#take(4))));
      case 0x8d:
        return this.#push(this.#text(this.#length8("a text")));
      case 0x43:
        return this.#push(this.#slice(this.#byte()));
      case 0x42:
        return this.#push(this.#slice(this.#bytes.readUInt32LE(this.#take(4))));
      case 0x8e:
        return this.#push(this.#slice(this.#length8("bytes")));
      default:
        return this.#build(opcode);
    }
  }

  #build(opcode: number): void {
    switch (opcode) {
      case 0x5d:
      case 0x29: // A tuple is a list: who reads a message does not tell them apart.
        return this.#push([], 1);
      case 0x7d:
        return this.#push(new Map() as Dict, 1);
      case 0x61:
        return this.#append(this.#stack.length - 1);
      case 0x65:
        return this.#append(this.#unmark());
      case 0x73:
        return this.#setItems(this.#stack.length - 2);
      case 0x75:
        return this.#setItems(this.#unmark());
      case 0x85:
      case 0x86:
      case 0x87:
        return this.#tuple(this.#stack.length - (opcode - 0x84));
      case 0x74:
        return this.#tuple(this.#unmark());
      case 0x93: {
        const name = this.#pop();
        return this.#class(this.#pop(), name);
      }
      case 0x63: {
        const module = this.#line();
        return this.#class(module, this.#line());
      }
      case 0x81:
        return this.#newObject();
      case 0x62:
        return this.#fill();
      default:
        return this.#remember(opcode);
    }
  }

  #remember(opcode: number): void {
    switch (opcode) {
      case 0x94:
        return void this.#memo.push(this.#top());
      case 0x71:
        return this.#put(this.#byte());
      case 0x72:
        return this.#put(this.#bytes.readUInt32LE(this.#take(4)));
      case 0x68:
        return this.#get(this.#byte());
      case 0x6a:
        return this.#get(this.#bytes.readUInt32LE(this.#take(4)));
      default:
        throw this.#error(`opcode 0x${opcode.toString(16).padStart(2, "0")}`, "what data is made of");
    }
  }

  #error(what: string, allowed: string): PickleError {
    return new PickleError(this.#opcodeAt, what, allowed);
  }

  #byte(): number {
    return this.#bytes[this.#take(1)] ?? 0;
  }

  /** Where the next `count` bytes begin. */
  #take(count: number): number {
    const start = this.#at;
    if (count < 0 || count > this.#bytes.length - start) throw this.#error(`${count} bytes are to come, and ${this.#bytes.length - start} are there`, "a whole pickle");
    this.#at = start + count;
    return start;
  }

  #length8(what: string): number {
    const length = this.#bytes.readBigUInt64LE(this.#take(8));
    if (length > BigInt(this.#bytes.length)) throw this.#error(`${what} of ${length} bytes`, `at most what is there, ${this.#bytes.length}`);
    return Number(length);
  }

  #text(length: number): string {
    const start = this.#take(length);
    const text = textFrom(this.#bytes, start, this.#at);
    if (text === null) throw this.#error("bytes that are no text", "UTF-8");
    return text;
  }

  /** A copy: what is kept must not keep the whole message. */
  #slice(length: number): Uint8Array {
    const start = this.#take(length);
    return new Uint8Array(this.#bytes.subarray(start, start + length));
  }

  #line(): string {
    const end = this.#bytes.indexOf(0x0a, this.#at);
    if (end < 0 || end - this.#at > 256) throw this.#error("a name without an end", "at most 256 bytes and a line feed");
    const text = this.#text(end - this.#at);
    this.#at += 1;
    return text;
  }

  #long(length: number): number | bigint {
    const { intBytesMax } = this.#limits;
    if (length < 0 || length > intBytesMax) throw this.#error(`an int of ${length} bytes`, `at most ${intBytesMax}`);
    const start = this.#take(length);
    let value = 0n;
    for (let at = this.#at - 1; at >= start; at--) value = (value << 8n) | BigInt(this.#bytes[at] ?? 0);
    const int = length === 0 ? 0n : BigInt.asIntN(length * 8, value);
    const number = Number(int);
    return Number.isSafeInteger(number) ? number : int;
  }

  #count(): void {
    if (++this.#values > this.#limits.valuesMax) throw this.#error("more values", `at most ${this.#limits.valuesMax}`);
  }

  #push(item: Item, depth = 0): void {
    this.#count();
    this.#stack.push(item);
    this.#depths.push(depth);
  }

  get #floor(): number {
    return this.#marks.at(-1) ?? 0;
  }

  #top(): Item {
    const item = this.#stack.length > this.#floor ? this.#stack.at(-1) : undefined;
    if (item === undefined) throw this.#error(this.#stack.length > 0 ? "a mark" : "nothing on the stack", "a value");
    return item;
  }

  #pop(): Item {
    const item = this.#top();
    this.#stack.pop();
    this.#depths.pop();
    return item;
  }

  /** Closes the newest batch; where it begins. */
  #unmark(): number {
    const at = this.#marks.pop();
    if (at === undefined) throw this.#error("a batch without a mark", "a mark before it");
    return at;
  }

  /** Takes the values at `from` and above off the stack, for the container below them, which becomes as deep as the deepest of them, and one. */
  #batch(from: number): PickleValue[] {
    if (from - 1 < this.#floor) throw this.#error("values without a container", "a list, a dict or an instance below them");
    let depth = this.#depths[from - 1] ?? 0;
    for (let at = from; at < this.#depths.length; at++) depth = Math.max(depth, (this.#depths[at] ?? 0) + 1);
    if (depth > this.#limits.depthMax) throw this.#error(`values ${depth} deep`, `at most ${this.#limits.depthMax}`);
    this.#depths[from - 1] = depth;
    this.#depths.length = from;
    const items = this.#stack.splice(from);
    for (const item of items) if (item instanceof ClassName) throw this.#error("a class within a value", "values");
    return items as PickleValue[];
  }

  #append(from: number): void {
    const items = this.#batch(from);
    const list = this.#top();
    if (!Array.isArray(list)) throw this.#error("values for what is no list", "a list");
    for (const item of items) list.push(item);
  }

  #setItems(from: number): void {
    const items = this.#batch(from);
    const dict = this.#top();
    if (!(dict instanceof Map) || items.length % 2 !== 0) throw this.#error("pairs for what is no dict", "a dict and whole pairs");
    for (let at = 0; at < items.length; at += 2) (dict as Dict).set(this.#key(items[at]), items[at + 1] ?? null);
  }

  /** As Python compares keys: True is 1, 1.0 is 1. */
  #key(key: PickleValue | undefined): string | number | bigint {
    if (typeof key === "string" || typeof key === "number" || typeof key === "bigint") return key;
    if (typeof key === "boolean") return Number(key);
    if (key instanceof PyFloat && Number.isSafeInteger(key.value)) return key.value;
    throw this.#error("a key that is neither text nor a whole number", "str and int");
  }

  #tuple(from: number): void {
    if (from < this.#floor) throw this.#error("a tuple of more than there is", "values above the mark");
    this.#stack.splice(from, 0, []);
    this.#depths.splice(from, 0, 1);
    this.#append(from + 1);
  }

  #class(module: Item, name: Item): void {
    const isAllowed = module === messageModule && typeof name === "string" && this.#classes.has(name);
    if (!isAllowed) throw this.#error(`the class ${shown(module)}.${shown(name)}`, `the messages of ${messageModule}`);
    this.#push(new ClassName(name));
  }

  #newObject(): void {
    const args = this.#pop();
    const named = this.#pop();
    if (!(named instanceof ClassName) || !Array.isArray(args) || args.length > 0) throw this.#error("a construction", "an instance without arguments");
    this.#push(new PyObject(named.name), 1);
  }

  #fill(): void {
    const [state] = this.#batch(this.#stack.length - 1);
    const object = this.#top();
    if (!(object instanceof PyObject) || !(state instanceof Map)) throw this.#error("fields for what is no instance", "an instance and a dict");
    for (const key of state.keys()) if (typeof key !== "string") throw this.#error("a field without a name", "names");
    object.fields = state as ReadonlyMap<string, PickleValue>;
  }

  #put(index: number): void {
    if (index > this.#memo.length + this.#bytes.length) throw this.#error(`memo ${index}`, "one after the other");
    this.#memo[index] = this.#top();
  }

  #get(index: number): void {
    const item = this.#memo[index];
    const isPlain = item !== undefined && (item instanceof ClassName || !isContainer(item));
    if (!isPlain) throw this.#error(`memo ${index}`, "a text, bytes, a number or a class that was remembered");
    this.#push(item);
  }

  #stop(): PickleValue {
    const value = this.#pop();
    if (value instanceof ClassName || this.#stack.length > 0 || this.#marks.length > 0) throw this.#error("an end with more than one value", "one value");
    return value;
  }
}

function isContainer(item: PickleValue): boolean {
  return Array.isArray(item) || item instanceof Map || item instanceof PyObject;
}

function shown(item: Item): string {
  return typeof item === "string" ? item.slice(0, 100) : "?";
}
