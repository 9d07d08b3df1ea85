/** usage: master.js <job folder> — the master process of one job; started by a command or by its watchdog, not by people. */

import { runMaster } from "./run-master.js";

const [jobDir] = process.argv.slice(2);
if (jobDir === undefined) {
  process.stderr.write("usage: master.js <job folder>\n");
  process.exit(2);
}
process.exit(await runMaster(jobDir));
