/** A running supervisor: every strategy, restart type and way to end, in the order of starts and stops; escalation through nested ones. */

import { expect } from "chai";
import { type ActorRef, type Ask, type Tell, actorRef, defineActor } from "../../src/runtime/actor.js";
import { AskError } from "../../src/runtime/ask-error.js";
import { type ChildSpec, isRestarted, type Restart, type SupervisorSpec, takenAlong } from "../../src/runtime/supervision.js";
import { createInlineSystem, type InlineSystem } from "../../src/runtime/test-kit.js";

type Message = Ask<"ping", object, { pong: true }> | Tell<"throw"> | Tell<"leave">;

const ref = (id: string): ActorRef<Message> => actorRef(id);

describe("a running supervisor", () => {
  let system: InlineSystem;
  /** `+a`: a started, `-a`: it ended. */
  let log: string[];
  /** Children that do not start. */
  let broken: Set<string>;

  beforeEach(() => {
    system = createInlineSystem();
    log = [];
    broken = new Set();
  });
  afterEach(() => system.close());

  const child = (id: string, restart: Restart = "permanent"): ChildSpec => ({
    id,
    restart,
    definition: defineActor<object, Message, never>({
      name: "child",
      module: import.meta.url,
      init: () => ({}),
      receive(_state, message, ctx) {
        if (message.type === "throw") throw new Error("asked to throw");
        if (message.type === "ping") ctx.reply({ pong: true });
        else ctx.stop();
      },
      apply: () => undefined,
      openPort: () => {
        if (broken.has(id)) throw new Error(`${id} is broken`);
        log.push(`+${id}`);
        return { perform: () => undefined, close: () => Promise.resolve(void log.push(`-${id}`)) };
      },
    }),
  });
  const supervise = (spec: Partial<SupervisorSpec> & Pick<SupervisorSpec, "children">): Promise<void> =>
    system.system.supervise({ id: "root", strategy: "one-for-one", ...spec });
  const end = async (id: string, how: "throw" | "leave"): Promise<void> => {
    log = [];
    system.tell(ref(id), { type: how });
    await system.advance(5_000);
  };
  const isThere = async (id: string): Promise<boolean> => {
    const asked = system.ask(ref(id), { type: "ping" }, { deadlineMs: 100 }).then(
      () => true,
      (thrown: unknown) => !(thrown instanceof AskError && thrown.code === "ACTOR_NOT_FOUND"),
    );
    await system.advance(200);
    return asked;
  };

  for (const strategy of ["one-for-one", "rest-for-one", "one-for-all"] as const) {
    for (const restart of ["permanent", "transient", "temporary"] as const) {
      for (const how of ["throw", "leave"] as const) {
        const isBack = isRestarted(restart, how === "throw" ? { kind: "error", message: "" } : { kind: "normal" });
        it(`${strategy}: a ${restart} child that does ${how} ${isBack ? "comes back with whom it takes along" : "stays away, alone"} (S1, S2)`, async () => {
          await supervise({ strategy, children: [child("a"), child("b", restart), child("c")] });
          await end("b", how);
          const taken = isBack ? takenAlong(strategy, ["a", "b", "c"], "b") : [];
          const others = taken.filter((id) => id !== "b");
          expect(log.filter((line) => line.startsWith("-"))).to.have.members([...others, "b"].map((id) => `-${id}`));
          expect(log.filter((line) => line.startsWith("-") && line !== "-b")).to.deep.equal([...others].reverse().map((id) => `-${id}`));
          expect(log.filter((line) => line.startsWith("+"))).to.deep.equal(taken.map((id) => `+${id}`));
          expect([await isThere("a"), await isThere("b"), await isThere("c")]).to.deep.equal([true, isBack, true]);
        });
      }
    }
  }

  it("one-for-all: starts a transient child again that had ended, and no temporary one (S2)", async () => {
    await supervise({ strategy: "one-for-all", children: [child("a", "transient"), child("b"), child("c", "temporary")] });
    await end("a", "leave");
    expect(await isThere("a")).to.equal(false);
    await end("b", "throw");
    expect([await isThere("a"), await isThere("b"), await isThere("c")]).to.deep.equal([true, true, false]);
  });

  it("escalates beyond the intensity: the supervisor above starts the whole subtree again, with a fresh intensity (S3, V4)", async () => {
    const inner: SupervisorSpec = { id: "inner", strategy: "one-for-one", intensity: 1, children: [child("b"), child("c")] };
    await supervise({ intensity: 1, children: [child("a"), inner] });
    await end("b", "throw");
    await end("b", "throw");
    expect(log.filter((line) => line.startsWith("+"))).to.deep.equal(["+b", "+c"]);
    await end("b", "throw");
    expect(log.filter((line) => line.startsWith("+"))).to.deep.equal(["+b"]);
    expect(log).not.to.include("-a");
  });

  it("tries a child that does not start again until it does, within the intensity, and escalates beyond", async () => {
    await supervise({ intensity: 3, children: [child("a"), child("b")] });
    broken.add("b");
    system.tell(ref("b"), { type: "throw" });
    await system.settle();
    broken.delete("b");
    await system.advance(5_000);
    expect(await isThere("b")).to.equal(true);
    await system.advance(20_000);
    broken.add("b");
    await end("b", "throw");
    expect(await system.system.ended).to.have.property("kind", "restart-intensity");
  });

  it("keeps messages for a child that is coming back, and tells whoever asked the one that is gone", async () => {
    await supervise({ children: [child("a"), child("b")] });
    await end("b", "throw");
    system.tell(ref("b"), { type: "throw" });
    await system.settle(); // The second restart within the period waits.
    const asked = system.ask(ref("b"), { type: "ping" });
    await system.advance(1_000);
    expect(await asked).to.deep.equal({ pong: true });
  });

  it("ends its children last first", async () => {
    await supervise({ children: [child("a"), { id: "inner", strategy: "one-for-one", children: [child("b"), child("c")] }, child("d")] });
    log = [];
    await system.close();
    expect(log).to.deep.equal(["-d", "-c", "-b", "-a"]);
  });
});
