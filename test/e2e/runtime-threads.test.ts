/** Actors in real threads: everything that can end a thread ends in a restart from snapshot and journal, or in escalation. */

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "chai";
import { stateBackend } from "../../actors/state-backend.js";
import { type ActorRef, actorRef } from "../../src/runtime/actor.js";
import { ActorSystem } from "../../src/runtime/actor-system.js";
import { AskError } from "../../src/runtime/ask-error.js";
import type { ChildSpec, Placement, SupervisorSpec } from "../../src/runtime/supervision.js";
import { type CounterMessage, type EchoMessage, counter, echo } from "../fixtures/counter-actor.js";

const first: ActorRef<CounterMessage> = actorRef("first");
const second: ActorRef<CounterMessage> = actorRef("second");

describe("actors in threads", function () {
  this.timeout(30_000);
  let folder: string;
  let system: ActorSystem;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "drover-threads-"));
    system = new ActorSystem({ journal: { id: "state-backend" }, probe: { everyMs: 50, deadlineMs: 500 }, heapMiB: 64 });
  });
  afterEach(async () => {
    await system.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const backend = (): ChildSpec => ({
    id: "state-backend",
    definition: stateBackend,
    options: { path: join(folder, "state.db") },
    placement: "thread",
  });
  const supervise = (spec: Partial<SupervisorSpec> = {}, placement: Placement = "thread"): Promise<void> =>
    system.supervise({
      id: "root",
      strategy: "one-for-one",
      children: [
        backend(),
        ...["first", "second"].map((id) => ({ id, definition: counter, placement })),
      ],
      ...spec,
    });
  const total = (ref: ActorRef<CounterMessage>): Promise<{ total: number }> =>
    system.ask(ref, { type: "get-total" }, { isIdempotent: true, deadlineMs: 15_000 });
  const restartsOf = async (id: string): Promise<number> => (await system.inspect()).actors.find((actor) => actor.id === id)?.restarts ?? -1;

  for (const how of ["throw", "exit-thread", "eat-heap"] as const) {
    it(`one that does ${how} is restarted with every event that it acknowledged`, async () => {
      await supervise();
      await Promise.all(Array.from({ length: 200 }, () => system.ask(first, { type: "add", amount: 1 })));
      system.tell(first, { type: how });
      const lost = await system.ask(first, { type: "never-answer" }).catch((thrown: unknown) => (thrown instanceof AskError ? thrown.code : "?"));
      expect(lost).to.be.oneOf(["ACTOR_RESTARTED", "ACTOR_FAILED"]);
      expect(await total(first)).to.deep.equal({ total: 200 });
      expect(await restartsOf("first")).to.equal(1);
      expect(await restartsOf("second")).to.equal(0);
    });
  }

  it("one that blocks its event loop is ended by the probe and restarted", async () => {
    await supervise();
    await system.ask(first, { type: "add", amount: 3 });
    system.tell(first, { type: "block", ms: 60_000 });
    expect(await total(first)).to.deep.equal({ total: 3 });
    expect(await restartsOf("first")).to.equal(1);
  });

  it("the State Backend itself is restarted, and appends under way are sent again: nothing acknowledged is lost or doubled", async () => {
    await supervise();
    const adds = Array.from({ length: 500 }, () => system.ask(first, { type: "add", amount: 1 }, { deadlineMs: 20_000 }));
    system.crash("state-backend");
    await Promise.all(adds);
    expect(await total(first)).to.deep.equal({ total: 500 });
    system.crash("first");
    expect(await total(first)).to.deep.equal({ total: 500 });
  });

  it("actors that share a thread are restarted one by one, and all together when the thread dies", async () => {
    await supervise({}, "shared");
    await system.ask(first, { type: "add", amount: 1 });
    await system.ask(second, { type: "add", amount: 2 });
    system.tell(first, { type: "throw" });
    expect(await total(first)).to.deep.equal({ total: 1 });
    system.tell(first, { type: "exit-thread" });
    expect(await total(first)).to.deep.equal({ total: 1 });
    expect(await total(second)).to.deep.equal({ total: 2 });
  });

  it("rest-for-one takes along those that were started later", async () => {
    await supervise({ strategy: "rest-for-one" });
    await total(second);
    system.tell(first, { type: "throw" });
    await total(first);
    await total(second);
    expect([await restartsOf("state-backend"), await restartsOf("first"), await restartsOf("second")]).to.deep.equal([0, 1, 1]);
  });

  it("one that fails too often ends the system with the reason", async () => {
    await supervise({ intensity: 2, backoffMs: { first: 1, most: 1 } });
    for (let failure = 0; failure < 3; failure++) {
      system.tell(first, { type: "throw" });
      await total(first).catch(() => undefined);
    }
    expect(await system.ended).to.have.property("kind", "restart-intensity");
  });

  it("messages keep every kind of value, alone and in frames", async () => {
    const ref = actorRef<EchoMessage>("echo");
    await system.supervise({ id: "echoes", strategy: "one-for-one", children: [{ id: "echo", definition: echo, placement: "thread" }] });
    const payload = { map: new Map([[1, "a"]]), set: new Set([2]), big: 2n ** 60n, bytes: new Uint8Array([1, 2]), none: null, deep: [{ a: [1.5] }] };
    for (const count of [1, 3]) {
      const answers = await Promise.all(Array.from({ length: count }, () => system.ask(ref, { type: "echo", payload })));
      for (const answer of answers) {
        const got = answer.payload as typeof payload;
        expect(got.map).to.deep.equal(payload.map);
        expect(got.set).to.deep.equal(payload.set);
        expect(got.big).to.equal(payload.big);
        expect([...got.bytes]).to.deep.equal([1, 2]);
        expect(got.none).to.equal(null);
        expect(got.deep).to.deep.equal(payload.deep);
      }
    }
  });
});
