/** DLRover's messages to bytes and back. */

import { type Message, messageClasses, type MessageName, type MessageOf } from "./message-classes.js";
import { type Fields, readFields, writeObject } from "./message-fields.js";
import { PickleError } from "./pickle-error.js";
import { type PickleLimits, readPickle } from "./pickle-reader.js";
import { PyObject } from "./pickle-value.js";
import { PickleWriter } from "./pickle-writer.js";

const names: ReadonlySet<string> = new Set(Object.keys(messageClasses));
const writer = new PickleWriter();

/** Throws `PickleError` for what is no message of the table. */
export function readMessage(bytes: Uint8Array, limits: Partial<PickleLimits> = {}): Message {
  const value = readPickle(bytes, names, limits);
  if (!(value instanceof PyObject)) throw new PickleError(0, "a value that is no message", "an instance");
  const cls = value.cls as MessageName; // readPickle lets no other class through.
  return { cls, fields: readFields(messageClasses[cls] as Fields, value) } as unknown as Message;
}

export function writeMessage<Name extends MessageName>(cls: Name, fields: Partial<MessageOf<Name>> = {}): Buffer {
  writer.begin();
  writeObject(writer, cls, messageClasses[cls] as Fields, fields as never);
  return writer.end();
}
