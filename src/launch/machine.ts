/** What this machine has to give. */

import { readdirSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import type { Resources } from "../job/job-spec.js";

/** CPUs and memory that this process may use (control groups respected), NVIDIA GPUs, and what the caller adds. */
export function machineResources(custom: Readonly<Record<string, number>> = {}): Resources {
  const total = totalmem();
  const constrained = process.constrainedMemory();
  return {
    cpu: availableParallelism(),
    memoryBytes: constrained > 0 && constrained < total ? constrained : total,
    gpu: gpuCount(),
    custom,
  };
}

function gpuCount(): number {
  try {
    return readdirSync("/proc/driver/nvidia/gpus").length;
  } catch {
    return 0; // No driver, no GPU.
  }
}
