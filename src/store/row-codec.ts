/**
 * How events and snapshots become bytes in a row, and how damage to them is seen.
 *
 * - C1  A payload stands for itself: it needs no table of structures that could be lost. Map, Set, bigint, Date, typed
 *       arrays and `undefined` come back as what they were. A key `__proto__` does not: msgpackr gives it another name.
 * - C2  The checksum covers what is replayed: the payload, whose it is, its sequence number and its time.
 */

import { crc32 } from "node:zlib";
import { Packr } from "msgpackr";

const packr = new Packr({ moreTypes: true, useBigIntExtension: true, copyBuffers: true });

/** Throws for what cannot be carried (symbols, cycles). */
export function encodePayload(value: unknown): Uint8Array {
  return packr.pack(value);
}

/** Throws for bytes that `encodePayload` did not make. */
export function decodePayload(payload: Uint8Array): unknown {
  return packr.unpack(payload);
}

/** Checksum of a text; actors' names go into the checksums of their rows by it. */
export function checksumOfText(text: string): number {
  return crc32(text);
}

/** C2. `atMs` is the time of an event, or the version of a snapshot. */
export function checksumOf(payload: Uint8Array, nameChecksum: number, seq: number, atMs: number): number {
  const high = (seq / 2 ** 32) ^ Math.imul(atMs / 2 ** 32, 0x85ebca6b);
  const seed = Math.imul(nameChecksum ^ seq, 0x9e3779b1) ^ Math.imul(atMs, 0xc2b2ae35) ^ high;
  return crc32(payload, seed >>> 0);
}
