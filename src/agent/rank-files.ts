/** The files of one rank: its output, its progress, its error. Names only; nothing is opened here. */

import { join } from "node:path";
import type { NodeFiles } from "../launch/node-files.js";

export type RankFiles = Readonly<{
  dir: string;
  stdout: string;
  stderr: string;
  /** Where the client, or any program, appends its progress as JSON lines. */
  progress: string;
  /** torchelastic's error file. */
  error: string;
}>;

export function rankFiles(logsDir: string, files: NodeFiles, place: Readonly<{ round: number; rank: number; localRank: number }>): RankFiles {
  const dir = join(logsDir, String(place.round));
  return {
    dir,
    stdout: join(dir, `rank-${place.rank}.out`),
    stderr: join(dir, `rank-${place.rank}.err`),
    progress: join(files.progressDir, `${place.round}-${place.localRank}.jsonl`),
    error: join(files.errorsDir, `${place.round}-${place.localRank}.json`),
  };
}
