/** What the Job Auto Scaler is told and asked. */

import type { JobSpec } from "../../src/job/job-spec.js";
import type { HostRecord } from "../../src/job/scale-plan.js";
import type { ScalingNode } from "../../src/job/scaling-node.js";
import type { Ask, Tell } from "../../src/runtime/actor.js";

export type { ScalingNode };

export type ScaleRefusal = Readonly<{ ok: false; code: "OUT_OF_RANGE" | "JOB_ENDING" | "CANNOT_PLACE"; message: string }>;

export type JobAutoScalerMessage =
  /** From the Job Manager: the job begins (isRecovered after a restart of the master), with the nodes that it has. */
  | Tell<"begin-scaling", { spec: JobSpec; nodes: readonly ScalingNode[] }>
  | Tell<"end-scaling">
  /** From the Job Manager: the nodes as they are now; throughput in samples a second where it is known. */
  | Tell<"observe-nodes", { nodes: readonly ScalingNode[]; samplesPerSecond: number | null }>
  /** From the Job Manager: a node was lost or failed and needs another in its place, or more memory. */
  | Tell<"replace-node", { node: string; because: string; isOutOfMemory: boolean; avoidHost: string | null }>
  /** From the Scheduler: capacity came or went. */
  | Tell<"observe-hosts", { hosts: readonly HostRecord[] }>
  /** From the Scheduler: a node that the last plan created finds no host. */
  | Tell<"node-unplaceable", { node: string; because: string; isForEver: boolean }>
  /** From the Master Service: a person asks for `nodes` workers. */
  | Ask<"scale-job", { nodes: number; because: string }, { ok: true; from: number; to: number } | ScaleRefusal>
  | Ask<"get-scaling", object, Readonly<{ target: number; min: number; max: number; lastReason: string }>>;
