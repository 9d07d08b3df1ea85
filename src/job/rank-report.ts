/** What an agent says of its ranks: their lives (rare, each matters) and their progress (frequent, only the newest matters). */

/** One rank as its agent sees it. */
export type RankReport = Readonly<{
  token: string;
  localRank: number;
  round: number;
  pid: number;
  state: "starting" | "running" | "exited";
  exitCode: number | null;
  signal: string | null;
  isOutOfMemory: boolean;
  /** Traceback (torchelastic's error file, else the tail of stderr), at most 16 KiB. */
  errorText: string;
  exitedAtMs: number | null;
}>;

export type RankProgress = Readonly<{
  rank: number;
  localRank: number;
  round: number;
  step: number | null;
  loss: number | "nan" | "inf" | null;
  /** Samples since the rank started. */
  samples: number | null;
  /** Step of the last checkpoint that the rank says is saved. */
  checkpointStep: number | null;
  cpuCores: number;
  memoryBytes: number;
  /** When the newest step was reported, on the agent's clock. */
  atMs: number;
}>;
