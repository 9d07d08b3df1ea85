/** What a host looks like to the agent on it, for the checks before training and for placing more memory. */

export type HostFacts = Readonly<{
  host: string;
  address: string;
  cpus: number;
  memoryBytes: number;
  gpus: number;
  pythonVersion: string | null;
  /** Why the entry point cannot be run, as a sentence, or null. */
  entrypointProblem: string | null;
  diskFreeBytes: number;
  sharedMemoryBytes: number;
  openFilesMax: number;
  /** Wall clock of the host, for the skew. */
  clockMs: number;
  canBindPorts: boolean;
}>;
