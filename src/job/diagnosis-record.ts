/**
 * What the Diagnosis Master must not forget: what to watch for, the world that runs, and what was found. Plain data,
 * changed by `applyDiagnosisEvent` only.
 *
 * - G1  Nothing is found twice: a finding has a key (what, in which round, of whom), and a key is found once.
 * - G2  Bounds: `findingsMax` findings, the oldest forgotten first; the evidence of all but the newest `fullMax` is
 *       cut to `cutChars`;
 *       `keysMax` keys.
 */

import type { WorldNode } from "./diagnosis-world.js";
import { cutMiddle } from "./diagnosis-stacks.js";
import type { Finding } from "./finding.js";
import type { JobSpec } from "./job-spec.js";
import { needsPython } from "./precheck.js";

/** G2. */
export const findingsMax = 1_000;
const fullMax = 50;
const cutChars = 1_024;
const keysMax = 10_000;

/** The evidence of one finding at most. */
export const evidenceCharsMax = 64 * 1_024;

export type WatchSettings = JobSpec["diagnosis"] & Readonly<{ needsPython: boolean }>;

export type DiagnosisRecord = {
  /** Null until the Orchestrator has said what the job is. */
  settings: WatchSettings | null;
  /** Whether the job is in the stage in which steps are expected. */
  isRunning: boolean;
  /** `hasMoved`: a step of this round was seen. */
  world: Readonly<{ round: number; nodes: readonly WorldNode[]; hasMoved: boolean }> | null;
  /** Oldest first. */
  findings: Finding[];
  readonly keys: Set<string>;
};

export type DiagnosisEvent =
  | Readonly<{ type: "watch-changed"; settings: WatchSettings; isRunning: boolean }>
  | Readonly<{ type: "world-observed"; round: number; nodes: readonly WorldNode[] }>
  /** The first step of the round was seen. */
  | Readonly<{ type: "world-moved" }>
  | Readonly<{ type: "finding-made"; key: string; finding: Finding }>;

export type DiagnosisSnapshot = Readonly<Omit<DiagnosisRecord, "keys"> & { keys: readonly string[] }>;

export function newDiagnosisRecord(): DiagnosisRecord {
  return { settings: null, isRunning: false, world: null, findings: [], keys: new Set() };
}

export function settingsOf(spec: JobSpec): WatchSettings {
  return { ...spec.diagnosis, needsPython: needsPython(spec) };
}

export function applyDiagnosisEvent(record: DiagnosisRecord, event: DiagnosisEvent): void {
  switch (event.type) {
    case "watch-changed":
      record.settings = event.settings;
      record.isRunning = event.isRunning;
      return;
    case "world-observed":
      record.world = { round: event.round, nodes: event.nodes, hasMoved: false };
      return;
    case "world-moved":
      if (record.world !== null) record.world = { ...record.world, hasMoved: true };
      return;
    case "finding-made":
      return applyFinding(record, event.key, event.finding);
  }
}

export function takeDiagnosis(record: DiagnosisRecord): DiagnosisSnapshot {
  return { ...record, findings: [...record.findings], keys: [...record.keys] };
}

export function parseDiagnosis(taken: DiagnosisSnapshot): DiagnosisRecord {
  return { ...taken, findings: [...taken.findings], keys: new Set(taken.keys) };
}

/** G1, G2. */
function applyFinding(record: DiagnosisRecord, key: string, finding: Finding): void {
  record.findings.push(finding);
  if (record.findings.length > findingsMax) record.findings.shift();
  const index = record.findings.length - 1 - fullMax;
  const older = record.findings[index];
  if (older !== undefined) record.findings[index] = { ...older, evidence: cutMiddle(older.evidence, cutChars) };
  record.keys.add(key);
  if (record.keys.size <= keysMax) return;
  for (const oldest of record.keys) {
    record.keys.delete(oldest);
    return;
  }
}
