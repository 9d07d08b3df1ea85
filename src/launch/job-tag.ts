/**
 * The mark by which processes of a job are known in /proc: `<job>~<hash of the job folder>/<node>/`, at the beginning of
 * DROVER_NODE_TAG (agents, cold nurseries) and DROVER_RANK_TOKEN (ranks and all that they start).
 */

import { createHash } from "node:crypto";
import { basename, resolve } from "node:path";

/** Variables whose value begins with the tag. */
export const tagVariables = ["DROVER_NODE_TAG", "DROVER_RANK_TOKEN"] as const;

export function jobTag(jobDir: string): string {
  const hash = createHash("sha256").update(resolve(jobDir)).digest("hex").slice(0, 10);
  return `${basename(jobDir)}~${hash}/`;
}

export function nodeTag(jobDir: string, node: string): string {
  return `${jobTag(jobDir)}${node}/`;
}

/** Names one process of a job for ever: a rank is started at most once in a round. */
export function rankToken(jobDir: string, node: string, round: number, localRank: number): string {
  return `${nodeTag(jobDir, node)}${round}.${localRank}`;
}
