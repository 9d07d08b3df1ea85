/** The key-value store of DLRover's agents: set, add, get; keys of old rounds go (R1). */

import type { DlroverLedger } from "./dlrover-ledger.js";
import { keyBytesMax, keysMax, roundKeyOf, roundsKept, sizeOf } from "./dlrover-record.js";
import type { KvValue } from "./dlrover-request.js";

type Pairs = readonly (readonly [key: string, value: KvValue])[];

/** False where there is no room (R2): nothing is set then. */
export function setKeys(ledger: DlroverLedger, pairs: Pairs): boolean {
  const { record } = ledger;
  const more = pairs.filter(([key]) => !record.keys.has(key)).length;
  const bytes = pairs.reduce((sum, [key, value]) => sum + sizeOf(key, value), 0);
  if (record.keys.size + more > keysMax || record.keyBytes + bytes > keyBytesMax) return false;
  ledger.emit({ type: "keys-set", pairs });
  for (const [key] of pairs) forgetRounds(ledger, roundKeyOf(key)?.rendezvous);
  return true;
}

function forgetRounds(ledger: DlroverLedger, rendezvous: string | undefined): void {
  const prefixes = rendezvous === undefined ? [] : (ledger.record.rounds.get(rendezvous) ?? []);
  for (const prefix of prefixes.slice(0, Math.max(0, prefixes.length - roundsKept))) ledger.emit({ type: "keys-dropped", prefix });
}

/** Where torchelastic's barriers count their members (its store_util.barrier): each adds 1, once, and who makes the number full opens the barrier. */
const memberCount = "/num_members";

/**
 * An add of `peer`'s. A count of members that took it twice, for its first answer was lost with the master, would never be full: the barrier would
 * stay shut. It counts each peer once, and answers it the same again.
 */
export function addOnce(ledger: DlroverLedger, peer: string, key: string, value: KvValue): KvValue {
  if (!key.endsWith(memberCount) || roundKeyOf(key) === null) return addToKey(ledger, key, value);
  const known = ledger.record.counted.get(key)?.get(peer);
  if (known !== undefined) return known;
  const sum = addToKey(ledger, key, value);
  ledger.emit({ type: "member-counted", key, peer, value: sum });
  return sum;
}

/** The sum as Python's `+` has it, of ints, texts or bytes; of what cannot be added the value that was given, and nothing is stored. */
export function addToKey(ledger: DlroverLedger, key: string, value: KvValue): KvValue {
  const former = ledger.record.keys.get(key);
  const sum = former === undefined ? value : sumOf(former, value);
  if (sum === null) return value;
  setKeys(ledger, [[key, sum]]);
  return sum;
}

function sumOf(a: KvValue, b: KvValue): KvValue | null {
  if (isInt(a) && isInt(b)) {
    const sum = BigInt(a) + BigInt(b);
    return Number.isSafeInteger(Number(sum)) ? Number(sum) : sum;
  }
  if (typeof a === "string" && typeof b === "string") return a + b;
  if (!(a instanceof Uint8Array) || !(b instanceof Uint8Array)) return null;
  const joined = new Uint8Array(a.length + b.length);
  joined.set(a);
  joined.set(b, a.length);
  return joined;
}

function isInt(value: KvValue): value is number | bigint {
  return typeof value === "number" || typeof value === "bigint";
}

export function getKey({ record }: DlroverLedger, key: string): KvValue | null {
  return record.keys.get(key) ?? null;
}

/** Not there, or empty, which is the same to a client that waits. */
export function isMissing({ record }: DlroverLedger, key: string): boolean {
  const value = record.keys.get(key);
  return value === undefined || (value instanceof Uint8Array && value.length === 0);
}
