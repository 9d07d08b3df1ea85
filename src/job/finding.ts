/** What the Diagnosis Master found, with its evidence and the action that it calls for. */

export type FindingKind =
  | "precheck-failed"
  | "precheck-warning"
  | "hang"
  | "straggler"
  | "nan-loss"
  | "known-log-line";

export type Finding = Readonly<{
  id: string;
  kind: FindingKind;
  /** One sentence for a person. */
  summary: string;
  node: string | null;
  rank: number | null;
  /** Stacks, values, thresholds: text, at most 64 KiB. */
  evidence: string;
  action: "none" | "restart-ranks" | "end-job";
  atMs: number;
}>;
