/**
 * What a job is asked to be: resolved once from flags or an embedder's options to a type in which nothing is optional but what may be absent.
 */

/** What a node is for. Workers and the chief train in one world; parameter servers and evaluators run beside it. */
export type Role = "worker" | "chief" | "ps" | "evaluator";

export type Entrypoint = Readonly<{
  /** `script`: a Python file; `module`: as in `python -m`; `command`: any program. */
  kind: "script" | "module" | "command";
  target: string;
  args: readonly string[];
  /** The interpreter for `script` and `module`: an absolute path. */
  python: string;
}>;

/** What one node takes of a host. */
export type Resources = Readonly<{
  cpu: number;
  memoryBytes: number;
  gpu: number;
  custom: Readonly<Record<string, number>>;
}>;

export type RoleSpec = Readonly<{
  role: Role;
  /** What its ranks see as ROLE_NAME. */
  name: string;
  /** 1 ≤ min ≤ max ≤ 10,000 nodes; the world's node count is a multiple of `unit`. */
  nodes: Readonly<{ min: number; max: number; unit: number }>;
  /** Ranks on each node, 1 to 1,024. */
  nprocPerNode: number;
  /** Taken by each node. */
  resources: Resources;
  entrypoint: Entrypoint;
}>;

/** 0: none, 1: stdout, 2: stderr, 3: both; as torchrun's Std. */
export type StreamChoice = 0 | 1 | 2 | 3;

export type JobSpec = Readonly<{
  /** 1 to 63 characters of a-z A-Z 0-9 . _ -, first a letter or digit. */
  name: string;
  roles: readonly RoleSpec[];
  /** Working folder of the ranks, absolute. */
  cwd: string;
  /** The whole environment of the ranks, before torchrun's and DLRover's variables. */
  env: Readonly<Record<string, string>>;
  budget: Readonly<{
    /** Restarts of ranks that the whole job may spend, 0 to 1,000,000. Default 3. */
    maxRestarts: number;
    /** New nodes in the place of lost ones that the whole job may spend. Default 3. */
    maxRelaunches: number;
  }>;
  rendezvous: Readonly<{
    /** Once the minimum has joined, how long to wait for more. */
    lastCallMs: number;
    /** Fewer than the minimum for longer than this ends the job. */
    joinTimeoutMs: number;
  }>;
  heartbeat: Readonly<{ intervalMs: number; timeoutMs: number }>;
  /** Between SIGTERM and SIGKILL. */
  stopGraceMs: number;
  logs: Readonly<{ dir: string; redirects: StreamChoice; tee: StreamChoice; bytesMax: number; filesMax: number }>;
  warm: Readonly<{ isOn: boolean; keepMs: number }>;
  durability: "power" | "process";
  diagnosis: Readonly<{
    /** No step of a rank for this long while its peers wait. 0 turns it off. */
    hangTimeoutMs: number;
    /** A rank slower than its peers by this factor is a straggler. 0 turns it off. */
    stragglerFactor: number;
    /** What a NaN loss leads to. */
    onNan: "report" | "fail";
  }>;
  /** torchrun's --rdzv-id; TORCHELASTIC_RUN_ID. */
  runId: string;
  /** Where the master listens; port 0: a free one, and the same after a restart. */
  listen: Readonly<{ host: string; port: number }>;
  /** Who runs the ranks of a node. */
  agents: Readonly<{
    /** Drover's own agent, or DLRover's `dlrover-run`. */
    kind: "drover" | "dlrover";
    /** Somebody else starts them (`drover master`): nodes are those that come. */
    isExternal: boolean;
    /** DLRover's JOB_UID; a call with another one is refused. "": none is asked for. */
    jobUid: string;
    /** DLRover's calls need the bearer token, as `authorization` or as the job uid. */
    needsToken: boolean;
    /** Flags of `dlrover-run` for the agents that Drover starts; the script and its arguments follow them. */
    flags: readonly string[];
  }>;
}>;
