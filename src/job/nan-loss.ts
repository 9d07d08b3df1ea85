/** A loss that is no number any more: nothing that is trained from there on is worth anything. */

import type { JobSpec } from "./job-spec.js";
import type { RankProgress } from "./rank-report.js";

export type NanLoss = Readonly<{ rank: number; summary: string; action: "none" | "end-job" }>;

/**
 * The first rank whose reported loss is NaN or infinite, and what the job's spec wants done about it; null if there
 * is none.
 */
export function judgeLoss(ranks: readonly RankProgress[], onNan: JobSpec["diagnosis"]["onNan"]): NanLoss | null {
  const lost = ranks.find(({ loss }) => loss === "nan" || loss === "inf");
  if (lost === undefined) return null;
  const where = lost.step === null ? "" : ` at step ${lost.step}`;
  const summary = `The loss of rank ${lost.rank} is ${lost.loss === "nan" ? "not a number" : "infinite"}${where}.`;
  return { rank: lost.rank, summary, action: onNan === "fail" ? "end-job" : "none" };
}
