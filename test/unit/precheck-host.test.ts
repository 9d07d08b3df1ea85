import { expect } from "chai";
import type { HostFacts } from "../../src/job/host-facts.js";
import { checkHost, isError } from "../../src/job/precheck.js";

const gib = 2 ** 30;
const nowMs = 1_700_000_000_000;

const good: HostFacts = {
  host: "h0",
  address: "127.0.0.1",
  cpus: 2,
  memoryBytes: 8 * gib,
  gpus: 0,
  pythonVersion: "3.11.4",
  entrypointProblem: null,
  diskFreeBytes: 50 * gib,
  sharedMemoryBytes: gib,
  openFilesMax: 65_536,
  clockMs: nowMs,
  canBindPorts: true,
};

function ids(change: Partial<HostFacts>, needsPython = true): string[] {
  return checkHost({ ...good, ...change }, needsPython, nowMs).map(({ id, severity }) => `${severity} ${id}`);
}

describe("precheck of a host", () => {
  it("finds nothing wrong with a good host", () => {
    expect(ids({})).to.deep.equal([]);
    expect(ids({ pythonVersion: "4.0.0" })).to.deep.equal([]);
  });

  it("wants a Python of 3.9 or newer, but only from jobs that run it", () => {
    expect(ids({ pythonVersion: null })).to.deep.equal(["error python-missing"]);
    expect(ids({ pythonVersion: "3.8.19" })).to.deep.equal(["error python-too-old"]);
    expect(ids({ pythonVersion: "2.7" })).to.deep.equal(["error python-too-old"]);
    expect(ids({ pythonVersion: null }, false)).to.deep.equal([]);
  });

  it("has thresholds with an error below a warning", () => {
    expect(ids({ diskFreeBytes: 0.5 * gib })).to.deep.equal(["warning disk-low"]);
    expect(ids({ diskFreeBytes: 50 * 2 ** 20 })).to.deep.equal(["error disk-low"]);
    expect(ids({ openFilesMax: 1_023 })).to.deep.equal(["warning open-files-low"]);
    expect(ids({ openFilesMax: 255 })).to.deep.equal(["error open-files-low"]);
    expect(ids({ sharedMemoryBytes: 64 * 2 ** 20 })).to.deep.equal(["warning shared-memory-low"]);
  });

  it("compares the clock with the master's", () => {
    expect(ids({ clockMs: nowMs + 5_000 })).to.deep.equal([]);
    const [ahead] = checkHost({ ...good, clockMs: nowMs + 7_500 }, true, nowMs);
    const [behind] = checkHost({ ...good, clockMs: nowMs - 60_000 }, true, nowMs);
    expect(ahead?.sentence).to.equal("The clock is 7.5 s ahead of the master's.");
    expect(behind?.sentence).to.equal("The clock is 60.0 s behind the master's.");
  });

  it("names errors first, each with what to do", () => {
    const checks = checkHost(
      { ...good, clockMs: 0, canBindPorts: false, entrypointProblem: "train.py does not exist." },
      true,
      nowMs,
    );
    expect(checks.map(({ id }) => id)).to.deep.equal(["entrypoint-unusable", "ports-unusable", "clock-skewed"]);
    expect(checks.filter(isError)).to.have.length(2);
    for (const { hint } of checks) expect(hint).to.not.equal("");
    expect(checks[0]?.sentence).to.contain("train.py does not exist");
  });
});
