/**
 * Events, snapshots and histories as bytes, the way they cross from actor hosts to the State Backend and back.
 *
 * An event is encoded once, by the host of its actor, and decoded once, when it is replayed or shown: the one writer of
 * the file never looks into it. That is also why a whole frame is one run of bytes, which costs a thread next to
 * nothing to take over.
 */

import { Packr } from "msgpackr/pack";
import { BoundaryError } from "../base/errors.js";
import type { ActorHistory, StoredEvent, StoredSnapshot } from "./journal.js";
import { decodePayload, encodePayload } from "./row-codec.js";

/** An event as it lies in its row; the last four tell its cause. */
export type EncodedEvent = readonly [
  seq: number,
  atMs: number,
  type: string,
  payload: Uint8Array,
  causeMessage: string | null,
  causeFrom: string | null,
  causeActor: string | null,
  causeSeq: number | null,
];

export type EncodedSnapshot = Readonly<{ seq: number; version: number; payload: Uint8Array }>;

/** What the journal is asked to write. */
export type Operation =
  | Readonly<{ type: "append"; actor: string; events: readonly EncodedEvent[] }>
  | Readonly<{ type: "save-snapshot"; actor: string; snapshot: EncodedSnapshot }>;

/** What replay needs of an event: no labels, no cause. Reading only these saves a third of the time. */
export type ReplayEvent = readonly [seq: number, atMs: number, payload: Uint8Array];

export type EncodedHistory = Readonly<{ snapshot: EncodedSnapshot | null; events: readonly ReplayEvent[] }>;

/** One event or snapshot may have this many bytes when encoded; larger ones are refused with JOURNAL_BAD_EVENT. */
export const payloadBytesMax = 64 * 1024 * 1024;

/** Throws JOURNAL_BAD_EVENT for an event that cannot be encoded or is too large. */
export function encodeAppend(actor: string, events: readonly StoredEvent[]): Operation {
  return { type: "append", actor, events: events.map((event) => encodeEvent(actor, event)) };
}

/** Throws JOURNAL_BAD_EVENT for a state that cannot be encoded or is too large. */
export function encodeSnapshot(actor: string, { seq, version, state }: StoredSnapshot): Operation {
  const payload = encoded(state, () => `The snapshot of ${actor} at event ${seq}`);
  return { type: "save-snapshot", actor, snapshot: { seq, version, payload } };
}

export function decodeEvent([seq, atMs, payload]: ReplayEvent): StoredEvent {
  return { seq, atMs, event: decodePayload(payload) as StoredEvent["event"] };
}

export function decodeHistory({ snapshot, events }: EncodedHistory): ActorHistory {
  const later = events.map(decodeEvent);
  if (snapshot === null) return { events: later };
  const { seq, version, payload } = snapshot;
  return { snapshot: { seq, version, state: decodePayload(payload) }, events: later };
}

/** Frames within one process: never stored, so nothing but this file need understand them. */
const framePackr = new Packr({ useRecords: false });

/** An operation in a frame: without names of fields, which would be a quarter of the work. */
type FramedOperation = readonly [actor: string, events: readonly EncodedEvent[] | null, snapshot: EncodedSnapshot | null];

export function packOperations(operations: readonly Operation[]): Uint8Array {
  const framed = operations.map((operation): FramedOperation =>
    operation.type === "append" ? [operation.actor, operation.events, null] : [operation.actor, null, operation.snapshot],
  );
  return exactCopy(framePackr.pack(framed));
}

export function unpackOperations(frame: Uint8Array): readonly Operation[] {
  return (framePackr.unpack(frame) as FramedOperation[]).map(([actor, events, snapshot]): Operation => {
    return snapshot ? { type: "save-snapshot", actor, snapshot } : { type: "append", actor, events: events ?? [] };
  });
}

export function packHistory(history: EncodedHistory): Uint8Array {
  return exactCopy(framePackr.pack(history));
}

export function unpackHistory(frame: Uint8Array): EncodedHistory {
  return framePackr.unpack(frame) as EncodedHistory;
}

function encodeEvent(actor: string, { seq, atMs, event, cause }: StoredEvent): EncodedEvent {
  const payload = encoded(event, () => `Event ${seq} of ${actor} (${event.type})`);
  const led = cause?.event;
  return [
    seq,
    atMs,
    event.type,
    payload,
    cause?.message ?? null,
    cause?.from ?? null,
    led?.actor ?? null,
    led?.seq ?? null,
  ];
}

function encoded(value: unknown, what: () => string): Uint8Array {
  let payload: Uint8Array;
  try {
    payload = encodePayload(value);
  } catch (error) {
    throw new BoundaryError("JOURNAL_BAD_EVENT", `${what()} cannot be encoded.`, {}, { cause: error });
  }
  if (payload.byteLength <= payloadBytesMax) return payload;
  throw new BoundaryError("JOURNAL_BAD_EVENT", `${what()} is too large.`, {
    value: `${payload.byteLength} bytes`,
    allowed: `up to ${payloadBytesMax}`,
  });
}

/** What msgpackr gives is a view of a larger buffer, all of which would cross with it. */
function exactCopy(packed: Uint8Array): Uint8Array {
  return new Uint8Array(packed);
}
