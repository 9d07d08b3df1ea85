import { join } from "node:path";
import { expect } from "chai";
import { stateBackend as stateBackendRef } from "../../actors/protocol/refs.js";
import { stateBackend } from "../../actors/state-backend.js";
import { type ActorRef, actorRef } from "../../src/runtime/actor.js";
import { ActorSystem } from "../../src/runtime/actor-system.js";
import { counter, type CounterMessage } from "../fixtures/counter-actor.js";
import { SmallDisk } from "../fixtures/small-disk.js";

const counting: ActorRef<CounterMessage> = actorRef("counter");

describe("a threaded system on a real small disk", function () {
  this.timeout(30_000);
  const opened: { disk: SmallDisk; system: ActorSystem }[] = [];

  afterEach(async () => {
    for (const { disk, system } of opened.splice(0)) {
      await system.close();
      disk.unmount();
    }
  });

  it("acknowledges nothing while the disk is full, then everything, and recovers all of it", async function () {
    const disk = SmallDisk.mount(8);
    if (disk === null) {
      console.log("      skipped: a tmpfs cannot be mounted here (needs root), so there is no disk to fill");
      this.skip();
    }
    const system = new ActorSystem({ journal: { id: stateBackendRef.id } });
    opened.push({ disk, system });
    await system.supervise({
      id: "root",
      strategy: "one-for-one",
      children: [
        {
          id: stateBackendRef.id,
          definition: stateBackend,
          options: { path: join(disk.path, "state.db") },
          placement: "thread",
        },
        { id: counting.id, definition: counter, placement: "thread" },
      ],
    });
    const add = (): Promise<unknown> => system.ask(counting, { type: "add", amount: 1 }, { deadlineMs: 20_000 });
    await add();
    disk.fill();

    let acknowledged = 0;
    const adds: Promise<unknown>[] = [];
    while ((await system.ask(stateBackendRef, { type: "inspect" })).paused === null) {
      for (let count = 0; count < 500; count++) adds.push(add().then(() => acknowledged++));
    }
    const acknowledgedBefore = acknowledged;
    const { commitSeq, pendingEvents } = await system.ask(stateBackendRef, { type: "inspect" });
    expect(commitSeq).to.be.at.least(acknowledged + 1);
    expect(pendingEvents).to.be.greaterThan(0);
    const late = add();
    const first = await Promise.race([late, new Promise((resolve) => setTimeout(() => resolve("still waiting"), 300))]);
    expect(first, "nothing may be acknowledged while it is not durable").to.equal("still waiting");
    expect(acknowledged).to.equal(acknowledgedBefore);

    disk.free();
    await Promise.all([...adds, late]);
    system.crash(counting.id);
    const total = await system.ask(counting, { type: "get-total" }, { isIdempotent: true });
    expect(total).to.deep.equal({ total: adds.length + 2 });
    expect((await system.ask(stateBackendRef, { type: "inspect" })).paused).to.equal(null);
  });
});
