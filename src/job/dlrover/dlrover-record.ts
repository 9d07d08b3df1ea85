/**
 * What the Job Manager must not forget of what is DLRover's alone. Plain data; changed by `applyDlroverEvent` only.
 *
 * - R1  Keys of rendezvous rounds are kept for the newest `roundsKept` rounds that have any.
 * - R2  Bounds: `keysMax` keys of `keyBytesMax` bytes in all; `actionsMax` actions a node; `syncsMax` syncs and as many barriers, the oldest forgotten first.
 */

import type { DlroverEvent } from "./dlrover-event.js";
import type { KvValue, NodeAction, ParallelConfig, WireAction } from "./dlrover-request.js";

export const roundsKept = 4;
export const keysMax = 1_000_000;
export const keyBytesMax = 512 * 1024 * 1024;
export const actionsMax = 1_000;
export const syncsMax = 10_000;

export type CheckMember = Readonly<{ peer: string; rank: number; nproc: number }>;

export type NetworkCheck = {
  /** Who waits for a check, in the order in which they came, by rank. */
  waiting: Map<number, CheckMember>;
  lastJoinedAtMs: number;
  round: number;
  /** Of the newest check: its members by rank, and the groups of ranks that check each other. */
  members: Map<number, CheckMember>;
  groups: (readonly number[])[];
  /** Whether a rank passed, in any round of the check; and its best time in seconds. */
  passed: Map<number, boolean>;
  seconds: Map<number, number>;
  /** Who was told its group, and who said how it went. */
  taken: Set<number>;
  reported: Set<number>;
  faults: readonly number[];
  stragglers: readonly number[];
  isJudged: boolean;
};

export type QueuedAction = Readonly<{ action: NodeAction; wire: WireAction; because: string; expiresAtMs: number }>;

export type DlroverRecord = {
  keys: Map<string, KvValue>;
  keyBytes: number;
  /** What each peer was answered by the barriers that have counted it, by key. */
  counted: Map<string, Map<string, KvValue>>;
  /** Prefixes of the keys of rounds, the newest last, by rendezvous. */
  rounds: Map<string, string[]>;
  check: NetworkCheck;
  syncs: Map<string, { awaited: Set<string>; atMs: number }>;
  barriers: Set<string>;
  checkpoints: { round: number; steps: Map<string, number> };
  ports: { proposed: Map<string, number>; port: number; newPort: number };
  versions: Map<string, number>;
  addresses: Map<string, string>;
  configs: Map<string, ParallelConfig>;
  actions: Map<string, QueuedAction[]>;
  /** The action that each peer was told last, with the heartbeat that it was told on. */
  told: Map<string, QueuedAction & Readonly<{ atSeconds: number }>>;
  /** What each peer noted last. */
  notes: Map<string, string>;
};

export function openDlroverRecord(): DlroverRecord {
  return {
    keys: new Map(),
    keyBytes: 0,
    counted: new Map(),
    rounds: new Map(),
    check: {
      waiting: new Map(),
      lastJoinedAtMs: 0,
      round: 0,
      members: new Map(),
      groups: [],
      passed: new Map(),
      seconds: new Map(),
      taken: new Set(),
      reported: new Set(),
      faults: [],
      stragglers: [],
      isJudged: false,
    },
    syncs: new Map(),
    barriers: new Set(),
    checkpoints: { round: 0, steps: new Map() },
    ports: { proposed: new Map(), port: 0, newPort: 0 },
    versions: new Map(),
    addresses: new Map(),
    configs: new Map(),
    actions: new Map(),
    told: new Map(),
    notes: new Map(),
  };
}

export type RoundKey = Readonly<{ rendezvous: string; prefix: string; round: number; group: number; name: string }>;

/** `<rendezvous>/torch.rendezvous.<rendezvous>.<round>.<group>/<name>`, `prefix` being the part before the group; null for other keys. */
export function roundKeyOf(key: string): RoundKey | null {
  const [, prefix, rendezvous, round, group, name = ""] = /^(([^/]+)\/torch\.rendezvous\.\2\.(\d+)\.)(?:(\d+)\/(.+))?/.exec(key) ?? [];
  return prefix === undefined || rendezvous === undefined ? null : { rendezvous, prefix, round: Number(round), group: Number(group), name };
}

export function sizeOf(key: string, value: KvValue): number {
  const bytes = typeof value === "object" ? ("pickle" in value ? value.pickle.length : value.length) : String(value).length;
  return key.length + bytes;
}

function setKeys(record: DlroverRecord, { pairs }: Extract<DlroverEvent, { type: "keys-set" }>): void {
  for (const [key, value] of pairs) {
    const former = record.keys.get(key);
    record.keyBytes += sizeOf(key, value) - (former === undefined ? 0 : sizeOf(key, former));
    record.keys.set(key, value);
    const round = former === undefined ? roundKeyOf(key) : null;
    if (!round) continue;
    const known = record.rounds.get(round.rendezvous) ?? [];
    if (!known.includes(round.prefix)) record.rounds.set(round.rendezvous, [...known, round.prefix]);
  }
}

function dropKeys(record: DlroverRecord, prefix: string): void {
  for (const [key, value] of record.keys) {
    if (!key.startsWith(prefix)) continue;
    record.keyBytes -= sizeOf(key, value);
    record.keys.delete(key);
  }
  for (const key of record.counted.keys()) if (key.startsWith(prefix)) record.counted.delete(key);
  for (const [rendezvous, prefixes] of record.rounds) record.rounds.set(rendezvous, prefixes.filter((known) => known !== prefix));
}

function bound(entries: Map<string, unknown> | Set<string>): void {
  for (const key of entries.keys()) {
    if (entries.size <= syncsMax) return;
    entries.delete(key);
  }
}

function applyToCheck(check: NetworkCheck, event: Extract<DlroverEvent, { type: `network-check-${string}` }>): void {
  switch (event.type) {
    case "network-check-joined":
      check.waiting.set(event.rank, { peer: event.peer, rank: event.rank, nproc: event.nproc });
      check.lastJoinedAtMs = event.atMs;
      return;
    case "network-check-left":
      check.waiting.delete(event.rank);
      if (!check.members.has(event.rank)) return;
      check.passed.set(event.rank, false);
      check.reported.add(event.rank);
      return;
    case "network-check-grouped":
      if (event.round % 2 === 1) {
        check.passed.clear();
        check.seconds.clear();
      }
      Object.assign(check, { round: event.round, groups: [...event.groups], faults: [], stragglers: [], isJudged: false });
      check.members = new Map(event.ranks.flatMap((rank) => {
        const member = check.waiting.get(rank);
        return member ? [[rank, member] as const] : [];
      }));
      for (const rank of event.ranks) check.waiting.delete(rank);
      check.taken.clear();
      check.reported.clear();
      return;
    case "network-check-taken":
      check.taken.add(event.rank);
      return;
    case "network-check-reported":
      check.reported.add(event.rank);
      check.passed.set(event.rank, event.isOk || check.passed.get(event.rank) === true);
      check.seconds.set(event.rank, Math.min(event.seconds, check.seconds.get(event.rank) ?? Infinity));
      return;
    case "network-check-judged":
      Object.assign(check, { round: event.round, faults: event.faults, stragglers: event.stragglers, isJudged: true });
  }
}

export function applyDlroverEvent(record: DlroverRecord, event: DlroverEvent): void {
  switch (event.type) {
    case "keys-set":
      return setKeys(record, event);
    case "member-counted": {
      const counted = record.counted.get(event.key) ?? new Map<string, KvValue>();
      record.counted.set(event.key, counted.set(event.peer, event.value));
      return;
    }
    case "keys-dropped":
      return dropKeys(record, event.prefix);
    case "sync-begun":
      record.syncs.set(event.sync, { awaited: new Set(event.awaited), atMs: event.atMs });
      return bound(record.syncs);
    case "sync-joined":
      record.syncs.get(event.sync)?.awaited.delete(event.peer);
      return;
    case "barrier-opened":
      record.barriers.add(event.barrier);
      return bound(record.barriers);
    case "checkpoint-step-noted":
      if (record.checkpoints.round !== event.round) record.checkpoints = { round: event.round, steps: new Map() };
      record.checkpoints.steps.set(event.peer, event.step);
      return;
    case "port-proposed":
      record.ports.proposed.set(event.peer, event.port);
      return;
    case "ports-settled":
      record.ports = { proposed: new Map(), port: event.port, newPort: event.newPort };
      return;
    case "version-set":
      record.versions.set(versionKey(event.kind, event.taskType, event.taskId), event.version);
      return;
    case "peer-address-set":
      record.addresses.set(event.peer, event.address);
      return;
    case "config-set":
      record.configs.set(event.peer, event.config);
      return;
    case "action-queued": {
      const { peer, action, wire, because, expiresAtMs } = event;
      record.actions.set(peer, [...(record.actions.get(peer) ?? []), { action, wire, because, expiresAtMs }].slice(-actionsMax));
      return;
    }
    case "action-taken":
    case "action-expired": {
      const [first, ...rest] = record.actions.get(event.peer) ?? [];
      if (event.type === "action-taken" && first) record.told.set(event.peer, { ...first, atSeconds: event.atSeconds });
      if (rest.length > 0) record.actions.set(event.peer, rest);
      else record.actions.delete(event.peer);
      return;
    }
    case "peer-left":
      for (const { awaited } of record.syncs.values()) awaited.delete(event.peer);
      for (const byPeer of [record.checkpoints.steps, record.ports.proposed, record.configs, record.actions, record.told, record.notes]) byPeer.delete(event.peer);
      return;
    case "agent-noted":
      record.notes.set(event.peer, `${event.name} ${event.fields}`);
      return;
    default:
      return applyToCheck(record.check, event);
  }
}

export function versionKey(kind: string, taskType: string, taskId: number): string {
  return kind === "GLOBAL" ? "GLOBAL" : `${kind} ${taskType} ${taskId}`;
}
