/** usage: agent.js JOB_DIR NODE ROLE MASTER_ADDRESS TOKEN_PATH — the agent of one node; started by a launcher, not by people. */

import { runAgent } from "./run-agent.js";

process.exit(await runAgent(process.argv.slice(2)));
