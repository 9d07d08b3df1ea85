/** What flags of `drover run` make of a job (bin/run-flags.ts, bin/run-options.ts). */

import { Command } from "commander";
import { expect } from "chai";
import { addRunFlags } from "../../bin/run-flags.js";
import { runRequest, type RunRequest } from "../../bin/run-options.js";
import { BoundaryError } from "../../src/base/errors.js";
import type { JobSpec } from "../../src/job/job-spec.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";

function request(...flags: string[]): RunRequest {
  const command = new Command().argument("<script>").argument("[args...]").passThroughOptions();
  addRunFlags(command);
  command.parse(["--no-python", "--name", "j", ...flags, "true"], { from: "user" });
  return runRequest("true", [], command.opts(), { PATH: "/bin:/usr/bin" }, "/");
}
const spec = (...flags: string[]): JobSpec => resolveSpec(request(...flags).input, "/logs");

describe("the flags of a run", () => {
  it("give nodes and their unit, processes, budgets and resources, spelled both ways", () => {
    const [role] = spec("--nnodes", "2:6", "--node-unit", "2", "--nproc_per_node", "3", "--memory-per-node", "2G", "--cpus_per_node", "4").roles;
    expect(role).to.deep.include({ nodes: { min: 2, max: 6, unit: 2 }, nprocPerNode: 3 });
    expect(role?.resources).to.include({ cpu: 4, memoryBytes: 2 ** 31 });
    expect(spec("--max_restarts", "7", "--max-relaunches", "1").budget).to.deep.equal({ maxRestarts: 7, maxRelaunches: 1 });
  });

  it("give ROLE_NAME, torchrun's default without", () => {
    expect(spec().roles[0]?.name).to.equal("default");
    expect(spec("--role", "trainer").roles[0]?.name).to.equal("trainer");
  });

  it("lose a node after the time that is asked for, with several heartbeats in it", () => {
    expect(spec().heartbeat).to.deep.equal({ intervalMs: 5_000, timeoutMs: 30_000 });
    expect(spec("--heartbeat-timeout", "2s").heartbeat).to.deep.equal({ intervalMs: 500, timeoutMs: 2_000 });
    expect(spec("--heartbeat-timeout", "5m").heartbeat).to.deep.equal({ intervalMs: 5_000, timeoutMs: 300_000 });
  });

  it("take what torchrun takes and means nothing here, with a note", () => {
    const { notes } = request("--rdzv-backend", "c10d", "--rdzv_endpoint", "h:1", "--standalone", "--monitor_interval", "3");
    expect(notes).to.have.length(3);
    for (const note of notes) expect(note).to.match(/^--[a-z-]+ means nothing here: .+\.$/);
  });

  it("are refused with what is allowed where they are wrong", () => {
    const wrong = [["--nnodes", "3:2"], ["--nproc-per-node", "0"], ["--heartbeat-timeout", "soon"], ["--memory-per-node", "much"], ["--node-unit", "x"]];
    for (const [flag = "", value = ""] of wrong) {
      expect(() => request(flag, value), flag).to.throw(BoundaryError).with.nested.property("details.allowed").that.is.a("string");
    }
  });
});
