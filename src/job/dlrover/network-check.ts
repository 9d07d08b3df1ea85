/**
 * The network check of DLRover's agents: nodes check each other in groups of two, in up to two rounds, and who fails in both has a fault.
 *
 * - N1  A check begins with as many nodes as a world may take: at most the maximum, a multiple of the unit, at least the minimum; at once when
 *       nobody else is to come, else after the last call. Nodes that are there are given more than a short last call: at least `comeBackMs`,
 *       and the second round waits for all members of the first. Without one of them it would judge wrongly, and all had to check again.
 * - N2  Odd rounds begin anew: pairs by rank. Even rounds pair the fastest with the slowest of the round before.
 * - N3  A node that passed in either round is good. One that is gone has failed, so that nobody waits for it.
 * - N4  A clean first round is the whole check: the second is skipped, and the next check begins with an odd round again.
 * - N5  A member that joins before it has had its group says its join again, for the answer was lost with the master: it stays in its group.
 *       One that joins after that, and without a word of how the check went, has given it up: it has failed, as one that is gone (N3).
 * - N6  Groups stay as they are until the next check begins: who joins meanwhile waits for that one.
 */

import type { DlroverLedger } from "./dlrover-ledger.js";
import type { CheckMember, NetworkCheck } from "./dlrover-record.js";

export type CheckLimits = Readonly<{
  min: number;
  max: number;
  unit: number;
  lastCallMs: number;
  /** Nodes that are there and have not joined. */
  awaited: ReadonlySet<string>;
  /** Whether nodes may come that are not known yet. */
  isOpen: boolean;
}>;

export type CheckWorld = Readonly<{ round: number; group: number; world: readonly (readonly [rank: number, nproc: number])[] }>;
export type CheckResult = Readonly<{ nodes: readonly number[]; reason: string }>;

/** As DLRover's agents ask for it: a time longer than this factor of the median. */
const stragglerFactor = 2;

/** Agents leave a training rendezvous for a check after 15 s, ask each 5 s, pause 5 s between rounds, and say a lost request again after 5 s. */
const comeBackMs = 30_000;

/** The round before the one that it joins. */
export function joinCheck(ledger: DlroverLedger, member: CheckMember): number {
  const { members, reported, taken, round } = ledger.record.check;
  if (members.get(member.rank)?.peer === member.peer && !reported.has(member.rank)) {
    if (!taken.has(member.rank)) return round - 1; // N5
    leaveCheck(ledger, member.peer, "it joins again without a word of its check");
  }
  ledger.emit({ type: "network-check-joined", ...member, atMs: ledger.nowMs });
  return round;
}

/** N3. */
export function leaveCheck(ledger: DlroverLedger, peer: string, because: string): void {
  const { waiting, members, reported } = ledger.record.check;
  for (const of of [waiting, members]) {
    for (const member of of.values()) {
      const isOver = of === members && reported.has(member.rank);
      if (member.peer === peer && !isOver) return ledger.emit({ type: "network-check-left", peer, rank: member.rank, because });
    }
  }
}

/** N1. Null while the check has not begun. */
export function worldOfCheck(ledger: DlroverLedger, rank: number, limits: CheckLimits): CheckWorld | null {
  const { check } = ledger.record;
  if (check.waiting.has(rank)) beginIfDue(ledger, limits);
  if (check.waiting.has(rank) || !check.members.has(rank)) return null;
  if (!check.taken.has(rank)) ledger.emit({ type: "network-check-taken", rank });
  const at = check.groups.findIndex((group) => group.includes(rank));
  const ranks = check.groups[at] ?? [];
  return { round: check.round, group: at, world: ranks.map((each) => [each, check.members.get(each)?.nproc ?? 0] as const) };
}

/** When a check that waits for its last call begins; null for not by time. */
export function checkDueAtMs({ check }: Readonly<{ check: NetworkCheck }>, limits: CheckLimits): number | null {
  if (usable(check.waiting.size, limits) === 0) return null;
  if (limits.awaited.size === 0) return check.lastJoinedAtMs + limits.lastCallMs;
  const isAwaited = ({ peer }: CheckMember): boolean => limits.awaited.has(peer);
  if (isSecondRound(check.round + 1) && [...check.members.values()].some(isAwaited)) return null;
  return check.lastJoinedAtMs + Math.max(comeBackMs, limits.lastCallMs);
}

function isSecondRound(round: number): boolean {
  return round % 2 === 0;
}

function usable(count: number, { min, max, unit }: CheckLimits): number {
  const most = Math.min(count, max);
  return most >= min ? most - (most % unit) : 0;
}

/** N1. */
export function beginIfDue(ledger: DlroverLedger, limits: CheckLimits): void {
  const { check } = ledger.record;
  const count = usable(check.waiting.size, limits);
  if (count === 0) return;
  const isFull = check.waiting.size >= limits.max || (!limits.isOpen && limits.awaited.size === 0);
  if (!isFull && ledger.nowMs < (checkDueAtMs(ledger.record, limits) ?? Infinity)) return;
  const ranks = [...check.waiting.keys()].sort((a, b) => a - b).slice(0, count);
  const round = check.round + 1;
  const isSecond = isSecondRound(round);
  const groups = isSecond ? pairByTime(ranks, check) : pairByRank(ranks);
  ledger.emit({ type: "network-check-grouped", round, ranks, groups, because: `${count} nodes check each other${isSecond ? ", the fast ones the slow ones" : ""}` });
}

/** N2. A last single one makes a group of three. */
function pairByRank(ranks: readonly number[]): number[][] {
  const groups: number[][] = [];
  for (let at = 0; at < ranks.length; at += 2) groups.push(ranks.slice(at, at + 2));
  const last = groups.at(-1);
  if (last?.length === 1 && groups.length > 1) groups.splice(-2, 2, [...(groups.at(-2) ?? []), ...last]);
  return groups;
}

function pairByTime(ranks: readonly number[], { seconds }: NetworkCheck): number[][] {
  const sorted = [...ranks].sort((a, b) => (seconds.get(a) ?? Infinity) - (seconds.get(b) ?? Infinity) || a - b);
  const groups: number[][] = [];
  while (sorted.length > 1) groups.push([sorted.shift() ?? 0, sorted.pop() ?? 0]);
  const last = groups.at(-1);
  if (last) last.push(...sorted);
  else if (sorted.length > 0) groups.push(sorted);
  return groups;
}

export function reportCheck(ledger: DlroverLedger, rank: number, isOk: boolean, seconds: number): void {
  if (ledger.record.check.members.has(rank)) {
    ledger.emit({ type: "network-check-reported", rank, isOk, seconds: Math.round(seconds * 1_000) / 1_000 });
  }
}

/** How many wait for a check that this node has to join, or to join again. */
export function countCheckWaiting({ record: { check } }: DlroverLedger, unit: number): number {
  const isAgain = [...check.waiting.keys()].some((rank) => check.members.has(rank));
  return isAgain || check.waiting.size >= unit ? check.waiting.size : 0;
}

function judge(ledger: DlroverLedger): string | null {
  const { check } = ledger.record;
  if (check.members.size === 0) return "Not Initialized";
  if ([...check.members.keys()].some((rank) => !check.reported.has(rank))) return "Waiting node";
  if (check.isJudged) return null;
  const faults = [...check.members.keys()].filter((rank) => check.passed.get(rank) !== true);
  const stragglers = stragglersOf(check);
  const isClean = faults.length === 0 && stragglers.length === 0;
  const round = isClean ? Math.ceil(check.round / 2) * 2 : check.round; // N4
  const because = isClean ? "all passed" : `${faults.length} failed, ${stragglers.length} are slow`;
  ledger.emit({ type: "network-check-judged", round, faults, stragglers, because });
  return null;
}

function stragglersOf({ seconds, members }: NetworkCheck): number[] {
  const times = [...members.keys()].flatMap((rank) => seconds.get(rank) ?? []).sort((a, b) => a - b);
  const middle = times.length >> 1;
  const median = times.length % 2 === 1 ? (times[middle] ?? 0) : ((times[middle - 1] ?? 0) + (times[middle] ?? 0)) / 2;
  return [...members.keys()].filter((rank) => (seconds.get(rank) ?? 0) > stragglerFactor * median);
}

export function networkFaults(ledger: DlroverLedger): CheckResult {
  const reason = judge(ledger);
  const { faults } = ledger.record.check;
  return { nodes: faults, reason: reason ?? (faults.length > 0 ? "Node Failure" : "") };
}

export function networkStragglers(ledger: DlroverLedger): CheckResult {
  const reason = judge(ledger);
  return { nodes: ledger.record.check.stragglers, reason: reason ?? "" };
}
