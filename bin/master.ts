/** usage: master.js <job folder> [descriptor of a socket that listens] — the master process of one job; started by a command or by its watchdog, not by people. */

import { inheritedSocket } from "../src/launch/held-port.js";
import { runMaster } from "./run-master.js";

const [jobDir, descriptor] = process.argv.slice(2);
if (jobDir === undefined) {
  process.stderr.write("usage: master.js <job folder> [descriptor of a socket that listens]\n");
  process.exit(2);
}
process.exit(await runMaster(jobDir, descriptor === undefined ? {} : { socket: inheritedSocket(Number(descriptor)) }));
