/** The Scheduler over a scripted launcher: plans become agents once, whatever is repeated, restarted or late. */

import { expect } from "chai";
import { jobAutoScaler, jobManager, scheduler as ref } from "../../actors/protocol/refs.js";
import { scheduler } from "../../actors/scheduler.js";
import type { Resources } from "../../src/job/job-spec.js";
import { resolveSpec } from "../../src/job/resolve-spec.js";
import type { HostRecord, NodeLaunch, ScalePlan } from "../../src/job/scale-plan.js";
import type { LauncherCommand, LauncherReport } from "../../src/launch/launcher-port.js";
import { createInlineSystem, type InlineSystem } from "../../src/runtime/test-kit.js";
import { type Heard, scripted } from "../fixtures/wire-far-side.js";

const nothing: Resources = { cpu: 0, memoryBytes: 0, gpu: 0, custom: {} };
const spec = resolveSpec({ name: "j", roles: [{ entrypoint: { target: "/t.py", python: "/p" } }], cwd: "/", env: {}, stopGraceMs: 700 }, "/logs");
const host = (name: string, cpu = 4, isUp = true): HostRecord => ({ host: name, address: `${name}.net`, total: { ...nothing, cpu }, nodesMax: 10, isUp });
const node = (name: string, cpu = 1, avoidHosts: string[] = []): NodeLaunch => {
  return { node: name, role: "worker", nodeRank: 0, resources: { ...nothing, cpu }, avoidHosts };
};

describe("scheduler", () => {
  let system: InlineSystem;
  let commands: LauncherCommand[];
  let heard: Heard[];
  let plans = 0;

  beforeEach(async () => {
    commands = [];
    heard = [];
    const port = { perform: (command: unknown) => void commands.push(command as LauncherCommand), close: () => Promise.resolve() };
    system = createInlineSystem({ ports: { scheduler: () => port } });
    await system.start(scripted(jobManager.id, {}, heard), scripted(jobAutoScaler.id, {}, heard), { id: ref.id, definition: scheduler, options: {} });
    await tell({ type: "open-hosts", spec, masterAddress: "127.0.0.1:1", tokenPath: "/j/token", jobDir: "/j" });
    await tell({ type: "hosts-changed", hosts: [host("a"), host("b")] });
    commands = [];
    heard.length = 0;
  });
  afterEach(() => system.close());

  type Message = Parameters<typeof tell>[0];
  async function tell(message: LauncherReport | { type: "open-hosts"; spec: typeof spec; masterAddress: string; tokenPath: string; jobDir: string }): Promise<void> {
    system.tell(ref, message);
    await system.settle();
  }
  async function plan(change: Partial<ScalePlan>): Promise<void> {
    system.tell(ref, { type: "apply-plan", plan: { id: `p${++plans}`, reason: "because", create: [], remove: [], restart: [], ...change } });
    await system.settle();
  }
  const begun = (name: string, pid: number): Message => ({ type: "agent-started", node: name, pid, startTime: `t${pid}` });
  const ended = (name: string, pid: number, isHostGone = false): Message => {
    return { type: "agent-ended", node: name, pid, startTime: `t${pid}`, because: "killed by SIGKILL", isHostGone };
  };
  const asked = (type: LauncherCommand["type"]): LauncherCommand[] => commands.filter((command) => command.type === type);
  const told = (type: string, to = jobManager.id): object[] => heard.filter((one) => one.to === to && one.message.type === type).map(({ message }) => message);
  const stateOf = async (name: string): Promise<string | undefined> => {
    const { placements } = await system.ask(ref, { type: "get-placements" });
    return placements.find((placement) => placement.node === name)?.state;
  };

  it("launches what a plan creates on the host that has room, once however often the plan comes (C1)", async () => {
    const create = [node("w0"), node("w1")];
    await plan({ id: "once", create });
    await plan({ id: "once", create });
    await plan({ create });
    const launched = asked("launch-agent").map((command) => (command.type === "launch-agent" ? [command.spec.node, command.spec.host, command.spec.graceMs] : []));
    expect(launched).to.deep.equal([["w0", "a", 700], ["w1", "b", 700]]);
    await tell(begun("w0", 10));
    expect(told("node-launched")).to.deep.equal([{ type: "node-launched", node: "w0", host: "a", address: "a.net", pid: 10 }]);
  });

  it("refuses for ever what no host could hold, and tells Job Manager and Auto Scaler why (C2)", async () => {
    await plan({ create: [node("w0", 9)] });
    const because = "w0 can never be placed: it takes 9 of cpu, and the nearest of 2 hosts, a, has 4.";
    for (const to of [jobManager.id, jobAutoScaler.id]) expect(told("node-unplaceable", to)).to.deep.equal([{ type: "node-unplaceable", node: "w0", because, isForEver: true }]);
    expect(commands).to.deep.equal([]);
  });

  it("lets a node wait for room with its reason, and places it when there is some (C2)", async () => {
    await plan({ create: [node("w0", 4), node("w1", 4), node("w2", 4)] });
    expect(told("node-unplaceable")).to.have.length(1);
    expect(told("node-unplaceable")[0]).to.include({ node: "w2", isForEver: false });
    for (const [name, pid] of [["w0", 10], ["w1", 11]] as const) await tell(begun(name, pid));
    await plan({ remove: ["w0"] });
    expect(asked("end-node")).to.have.length(1);
    await tell({ type: "node-ended", node: "w0", problem: null });
    expect(asked("launch-agent").at(-1)).to.have.nested.property("spec.node", "w2");
    await tell({ type: "hosts-changed", hosts: [host("a"), host("b"), host("c")] });
    expect(asked("launch-agent")).to.have.length(3);
  });

  it("tells of an agent that ended, and starts it again in place when a plan says so, not while it is young (C1, C5)", async () => {
    await plan({ create: [node("w0")] });
    await tell(begun("w0", 10));
    await tell(ended("w0", 9));
    expect(told("agent-exited")).to.deep.equal([]);
    await tell(ended("w0", 10));
    expect(told("agent-exited")).to.deep.equal([{ type: "agent-exited", node: "w0", because: "killed by SIGKILL", isHostGone: false }]);
    await plan({ restart: ["w0"] });
    await tell(begun("w0", 11));
    await plan({ restart: ["w0"] });
    expect(asked("launch-agent")).to.have.length(2);
    await system.advance(6_000);
    await plan({ restart: ["w0"] });
    expect(asked("launch-agent").at(-1)).to.deep.include({ replace: { node: "w0", host: "a", pid: 11, startTime: "t11" } });
  });

  it("launches nothing again after a restart of its own, and watches what lives (C3)", async () => {
    await plan({ create: [node("w0"), node("w1"), node("w2", 9)] });
    await tell(begun("w0", 10));
    commands = [];
    await system.restart(ref.id);
    expect(asked("watch-agent")).to.deep.equal([{ type: "watch-agent", handle: { node: "w0", host: "a", pid: 10, startTime: "t10" } }]);
    const launched = asked("launch-agent").map((command) => (command.type === "launch-agent" ? command.spec.node : ""));
    expect(launched, "only what was under way: launching is idempotent").to.deep.equal(["w1"]);
    expect(asked("discover-hosts")).to.have.length(1);
  });

  it("ends a lost node without grace, and one that is removed with it", async () => {
    await plan({ create: [node("w0"), node("w1")] });
    for (const [name, pid] of [["w0", 10], ["w1", 11]] as const) await tell(begun(name, pid));
    await plan({ kill: ["w0"], remove: ["w1"] });
    expect(asked("end-node").map((command) => command.type === "end-node" && [command.spec.node, command.isKill])).to.deep.equal([["w0", true], ["w1", false]]);
  });

  it("ends a node whose launch was under way once that is through", async () => {
    await plan({ create: [node("w0")] });
    await plan({ remove: ["w0"] });
    expect(asked("end-node")).to.deep.equal([]);
    await tell(begun("w0", 10));
    expect(asked("end-node")).to.have.length(1);
    expect(told("node-launched")).to.deep.equal([]);
  });

  it("answers close-hosts when nothing is left anywhere, and tries again what could not be ended (C4)", async () => {
    await plan({ create: [node("w0")] });
    await tell(begun("w0", 10));
    let isClosed = false;
    const closing = system.ask(ref, { type: "close-hosts", isKill: false }, { deadlineMs: 60_000 }).then(() => (isClosed = true));
    await system.settle();
    await tell({ type: "node-ended", node: "w0", problem: "the host does not answer" });
    expect(asked("end-node")).to.have.length(1);
    await system.advance(1_000);
    expect(asked("end-node")).to.have.length(2);
    await tell({ type: "node-ended", node: "w0", problem: null });
    expect(await stateOf("w0")).to.equal(undefined);
    expect(asked("sweep-hosts")).to.deep.equal([{ type: "sweep-hosts", jobDir: "/j" }]);
    expect(isClosed).to.equal(false);
    await tell({ type: "hosts-swept", problem: null });
    await closing;
    await plan({ create: [node("w9")] });
    expect(asked("launch-agent")).to.have.length(1);
  });

  it("tells the Auto Scaler of hosts, and says of a node whose host is gone that it is", async () => {
    await plan({ create: [node("w0")] });
    await tell(begun("w0", 10));
    await tell({ type: "hosts-changed", hosts: [host("a", 4, false), host("b")] });
    expect(told("observe-hosts", jobAutoScaler.id)).to.deep.equal([{ type: "observe-hosts", hosts: [host("a", 4, false), host("b")] }]);
    await tell(ended("w0", 10, true));
    expect(told("agent-exited")).to.deep.equal([{ type: "agent-exited", node: "w0", because: "killed by SIGKILL", isHostGone: true }]);
  });
});
