/** What a pickle holds, as data. An int is a number, or a bigint outside ±2^53; a float is told apart from it, for Python's clients do. */

/** Where all of DLRover's message classes live; the only module that a pickle may name. */
export const messageModule = "dlrover.python.common.comm";

export class PyFloat {
  readonly value: number;

  constructor(value: number) {
    this.value = value;
  }
}

/** An instance of one of DLRover's message classes: its name and its fields, in the order in which they stood. */
export class PyObject {
  readonly cls: string;
  fields: ReadonlyMap<string, PickleValue> = new Map();

  constructor(cls: string) {
    this.cls = cls;
  }
}

export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PyFloat
  | PyObject
  | readonly PickleValue[]
  | ReadonlyMap<string | number | bigint, PickleValue>;
