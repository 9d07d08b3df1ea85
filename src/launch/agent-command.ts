/** How an agent is started on the host that it is for. */

import { fileURLToPath } from "node:url";
import { builtModule } from "../base/built-file.js";
import type { AgentSpec } from "./launcher.js";

export const agentPath = fileURLToPath(builtModule("bin/agent.js"));

/** Small heap, young generation included: an agent holds little, and there is one a node. */
export const agentFlags = ["--max-old-space-size=96", "--max-semi-space-size=1", "--no-warnings"];

export function agentArguments({ jobDir, node, role, masterAddress, tokenPath }: AgentSpec): string[] {
  return [jobDir, node, role, masterAddress, tokenPath];
}
