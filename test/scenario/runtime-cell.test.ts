/** One actor under a manual clock: batches, durability before effects, recovery, deadlines, remembered requests. */

import { expect } from "chai";
import { type ActorRef, type Ask, type ReplyHandle, type Tell, actorRef, defineActor } from "../../src/runtime/actor.js";
import { AskError } from "../../src/runtime/ask-error.js";
import { createInlineSystem } from "../../src/runtime/test-kit.js";
import { MemoryJournal } from "../../src/store/memory-journal.js";
import type { StoredEvent } from "../../src/store/journal.js";

type Message =
  | Ask<"add", { amount: number }, { total: number }>
  | Ask<"hold", object, { released: boolean }>
  | Tell<"release">
  | Tell<"fail">
  | Tell<"watch", { target: string }>
  | Tell<"went-down", { kind: string }>
  | Ask<"wake-me", { afterMs: number }, { atMs: number }>
  | Tell<"wake">
  | Ask<"went", object, { down: string[] }>;
type State = { total: number; volatile: { held: ReplyHandle<{ released: boolean }>[]; sleeping: ReplyHandle<{ atMs: number }>[]; down: string[] } };

const adder = defineActor<State, Message, { type: "added"; amount: number }>({
  name: "adder",
  module: import.meta.url,
  init: () => ({ total: 0, volatile: { held: [], sleeping: [], down: [] } }),
  receive(state, message, ctx) {
    switch (message.type) {
      case "add":
        ctx.emit({ type: "added", amount: message.amount });
        { ctx.reply({ total: state.total }); return; }
      case "hold":
        return void state.volatile.held.push(ctx.deferReply());
      case "release":
        for (const handle of state.volatile.held.splice(0)) ctx.answer(handle, { released: true });
        return;
      case "fail":
        throw new Error("asked to fail");
      case "watch":
        { ctx.monitor(actorRef(message.target), (reason) => ({ type: "went-down", kind: reason.kind })); return; }
      case "went-down":
        return void state.volatile.down.push(message.kind);
      case "wake-me":
        state.volatile.sleeping.push(ctx.deferReply());
        { ctx.after(message.afterMs, "wake", { type: "wake" }); return; }
      case "wake":
        for (const handle of state.volatile.sleeping.splice(0)) ctx.answer(handle, { atMs: ctx.now() });
        return;
      case "went":
        { ctx.reply({ down: state.volatile.down }); return; }
    }
  },
  apply: (state, event) => void (state.total += event.amount),
  snapshot: {
    version: 1,
    everyEvents: 4,
    take: ({ total }) => ({ total }),
    parse: (taken) => ({ total: (taken as State).total, volatile: { held: [], sleeping: [], down: [] } }),
  },
});
const ref: ActorRef<Message> = actorRef("adder");

/** A journal whose writes are done only when the test says so. */
class SlowJournal extends MemoryJournal {
  readonly #waiting: (() => void)[] = [];

  override async append(actor: string, events: readonly StoredEvent[]): Promise<void> {
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
    await super.append(actor, events);
  }

  finishOne(): void {
    this.#waiting.shift()?.();
  }
}

const codeOf = (asked: Promise<unknown>): Promise<string> =>
  asked.then(
    () => "answered",
    (thrown: unknown) => (thrown instanceof AskError ? thrown.code : String(thrown)),
  );

describe("an actor", () => {
  it("lets no reply out before the events of its batch are durable (R2)", async () => {
    const journal = new SlowJournal();
    const system = createInlineSystem({ journal });
    await system.start({ id: "adder", definition: adder });
    let answered = 0;
    const first = system.ask(ref, { type: "add", amount: 1 }).then(() => answered++);
    await system.settle();
    const second = system.ask(ref, { type: "add", amount: 1 }).then(() => answered++);
    await system.settle();
    expect(answered).to.equal(0);
    journal.finishOne();
    await system.settle();
    expect(answered).to.equal(1);
    journal.finishOne();
    await Promise.all([first, second]);
    await system.close();
  });

  it("recovers from snapshot and events, and never receives again (R3)", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    for (let amount = 1; amount <= 10; amount++) await system.ask(ref, { type: "add", amount });
    await system.restart("adder");
    expect(await system.ask(ref, { type: "add", amount: 0 })).to.deep.equal({ total: 55 });
    expect(system.journal.events("adder")).to.have.length(11);
    await system.close();
  });

  it("replays no more than 1,000 events and a batch, however many there were, unless its definition says otherwise", async () => {
    const system = createInlineSystem();
    const { everyEvents, ...snapshot } = adder.snapshot!;
    expect(everyEvents).to.equal(4);
    await system.start({ id: "adder", definition: defineActor({ ...adder, snapshot }) });
    for (let round = 0; round < 35; round++) await Promise.all(Array.from({ length: 100 }, () => system.ask(ref, { type: "add", amount: 1 })));
    await system.settle();
    const { snapshot: newest, events } = await system.journal.load("adder");
    expect(newest?.seq).to.be.at.least(3_000);
    expect(events.length).to.be.below(1_000);
    await system.restart("adder");
    expect(await system.ask(ref, { type: "add", amount: 0 })).to.deep.equal({ total: 3_500 });
    await system.close();
  });

  it("takes a snapshot of a large state once half as many events have come", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: defineActor({ ...adder, snapshot: { ...adder.snapshot!, size: ({ total }) => total } }) });
    const positions = new Set<number>();
    for (let count = 0; count < 64; count++) {
      await system.ask(ref, { type: "add", amount: 1 });
      positions.add((await system.journal.load("adder")).snapshot?.seq ?? 0);
    }
    expect([...positions]).to.deep.equal([0, 4, 8, 16, 32, 64]); // It grows with each event.
    await system.close();
  });

  it("answers a retried request from memory, also after a restart (R6)", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    const options = { requestId: "client-1" };
    expect(await system.ask(ref, { type: "add", amount: 5 }, options)).to.deep.equal({ total: 5 });
    expect(await system.ask(ref, { type: "add", amount: 5 }, options)).to.deep.equal({ total: 5 });
    await system.restart("adder");
    expect(await system.ask(ref, { type: "add", amount: 5 }, options)).to.deep.equal({ total: 5 });
    expect(await system.ask(ref, { type: "add", amount: 1 })).to.deep.equal({ total: 6 });
    await system.close();
  });

  it("ends an ask at its deadline, and drops the answer that comes later (R4)", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    const code = codeOf(system.ask(ref, { type: "hold" }, { deadlineMs: 50 }));
    await system.advance(100);
    expect(await code).to.equal("DEADLINE_EXCEEDED");
    system.tell(ref, { type: "release" });
    await system.settle();
    expect((await system.system.inspect()).counters.lateAnswers).to.equal(1);
    await system.close();
  });

  it("fails the asks that it had when it fails, and is there again for the next (R4)", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    const held = codeOf(system.ask(ref, { type: "hold" }));
    await system.settle();
    system.tell(ref, { type: "fail" });
    expect(await held).to.equal("ACTOR_RESTARTED");
    expect(await system.ask(ref, { type: "add", amount: 2 })).to.deep.equal({ total: 2 });
    await system.close();
  });

  it("refuses an ask when its mailbox is full, at once", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder, mailboxCapacity: 2 });
    const codes = [1, 2, 3].map((amount) => codeOf(system.ask(ref, { type: "add", amount })));
    expect(await Promise.all(codes)).to.deep.equal(["answered", "answered", "MAILBOX_FULL"]);
    await system.close();
  });

  it("counts a message to nobody as a dead letter, and fails an ask", async () => {
    const system = createInlineSystem();
    system.tell(actorRef<Message>("nobody"), { type: "release" });
    expect(await codeOf(system.ask(actorRef<Message>("nobody"), { type: "add", amount: 1 }))).to.equal("ACTOR_NOT_FOUND");
    expect((await system.system.inspect()).counters.deadLetters).to.equal(1);
    await system.close();
  });

  it("is woken by its timer at the time that it asked for", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    const since = system.clock.now();
    const woken = system.ask(ref, { type: "wake-me", afterMs: 5_000 });
    await system.advance(6_000);
    expect((await woken).atMs - since).to.equal(5_000);
    await system.close();
  });

  it("is told when an actor that it monitors goes down", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder }, { id: "other", definition: adder });
    system.tell(ref, { type: "watch", target: "other" });
    await system.settle();
    system.tell(actorRef<Message>("other"), { type: "fail" });
    await system.settle();
    expect(await system.ask(ref, { type: "went" })).to.deep.equal({ down: ["error"] });
    await system.close();
  });

  it("ends the system when it fails too often: the failure climbs to the root guardian (S3)", async () => {
    const system = createInlineSystem();
    await system.system.supervise({ id: "root", strategy: "one-for-one", intensity: 2, children: [{ id: "adder", definition: adder }] });
    for (let failure = 0; failure < 3; failure++) {
      system.tell(ref, { type: "fail" });
      await system.advance(2_000);
    }
    expect(await system.system.ended).to.have.property("kind", "restart-intensity");
  });

  it("settles every ask when the system closes", async () => {
    const system = createInlineSystem();
    await system.start({ id: "adder", definition: adder });
    const held = codeOf(system.ask(ref, { type: "hold" }));
    await system.settle();
    await system.close();
    expect(await held).to.equal("SYSTEM_CLOSED");
    expect(await codeOf(system.ask(ref, { type: "hold" }))).to.equal("SYSTEM_CLOSED");
  });
});
