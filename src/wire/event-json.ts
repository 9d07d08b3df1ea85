/** The history's events as JSON and for people: they hold what JSON does not know. */

import type { HistoryEvent } from "../store/journal-messages.js";

/** An event as JSON can carry it: maps as objects, sets as arrays, bytes as base64, bigints as text. */
export function eventJson(event: HistoryEvent): string {
  return JSON.stringify(event, (_key, value: unknown) => plainOf(value, (bytes) => Buffer.from(bytes).toString("base64")));
}

/** The fields of an event for a person: bytes as the text that they are, or as how many they are. */
export function fieldsText(event: HistoryEvent["event"]): string {
  return JSON.stringify({ ...event, type: undefined }, (_key, value: unknown) => plainOf(value, textOf));
}

function plainOf(value: unknown, ofBytes: (bytes: Uint8Array) => string): unknown {
  if (typeof value === "bigint") return value.toString();
  if (value instanceof Map) return Object.fromEntries(value as Map<string, unknown>);
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (value instanceof Uint8Array) return ofBytes(value);
  return value;
}

const shownBytesMax = 100;

function textOf(bytes: Uint8Array): string {
  const text = bytes.length > shownBytesMax ? "" : Buffer.from(bytes).toString("latin1");
  return /^[\x20-\x7e]+$/.test(text) ? text : `<${bytes.length} bytes>`;
}
