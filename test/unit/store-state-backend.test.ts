import { expect } from "chai";
import {
  stateBackend,
  type StateBackendMessage,
  type StateBackendState,
  subscribersMax,
} from "../../actors/state-backend.js";
import { encodeAppend, packOperations } from "../../src/store/encoded.js";
import { RecordingContext } from "../fixtures/recording-context.js";
import { countedEvents } from "../fixtures/state-folder.js";

describe("the State Backend's rules", () => {
  let state: StateBackendState;
  let ctx: RecordingContext<StateBackendMessage>;

  beforeEach(() => {
    state = stateBackend.init({ path: "unused" });
    ctx = new RecordingContext();
  });

  function receive(...messages: StateBackendMessage[]): void {
    for (const message of messages) {
      ctx.nextAsk();
      stateBackend.receive(state, message, ctx);
    }
    stateBackend.batchEnd?.(state, ctx);
  }

  const frameOf = (actor: string): Uint8Array => packOperations([encodeAppend(actor, countedEvents(1, 1))]);
  const write = (actor: string): StateBackendMessage => ({ type: "write", frame: frameOf(actor) });
  const allGood = { outcomes: null };

  it("hands all writes of a batch to the port as one group, in order (B1)", () => {
    receive(write("a"), write("b"));
    expect(ctx.taken()).to.deep.equal([
      {
        kind: "perform",
        command: {
          type: "write",
          batch: 1,
          frames: [frameOf("a"), frameOf("b")],
        },
      },
    ]);
    receive({ type: "announce" });
    expect(ctx.taken()).to.deep.equal([]);
  });

  it("answers each asker with what the port reported of its own write, and nobody before (B2)", () => {
    receive(write("a"), write("b"));
    receive(write("c"));
    ctx.taken();
    const gap = { outcomes: [{ ok: false, code: "JOURNAL_GAP", message: "gap" }] } as const;
    receive({ type: "batch-written", batch: 1, replies: [allGood, gap], commitSeq: 1 });
    expect(ctx.taken()).to.deep.equal([
      { kind: "answer", askId: 1, reply: allGood },
      { kind: "answer", askId: 2, reply: gap },
    ]);
    receive({ type: "batch-written", batch: 2, replies: [allGood], commitSeq: 2 });
    expect(ctx.taken()).to.deep.equal([{ kind: "answer", askId: 3, reply: allGood }]);
    receive({ type: "batch-written", batch: 2, replies: [allGood], commitSeq: 2 });
    expect(ctx.taken()).to.deep.equal([]);
  });

  it("has everything written that was asked before a load (J3)", () => {
    receive(write("a"), { type: "load", actor: "a" }, write("b"));
    const commands = ctx
      .taken()
      .map((effect) => (effect.kind === "perform" ? (effect.command as { type: string }).type : effect.kind));
    expect(commands).to.deep.equal(["write", "load", "write"]);
    const reply = { ok: true, frame: new Uint8Array(1) } as const;
    receive({ type: "request-done", request: 2, reply });
    expect(ctx.taken()).to.deep.equal([{ kind: "answer", askId: 2, reply }]);
  });

  it("tells subscribers of an advance at once, then at most once a period, and always of the last (B3)", () => {
    const subscriber = { id: "reader" };
    receive({ type: "subscribe", subscriber }, { type: "subscribe", subscriber });
    expect(ctx.taken().map(({ kind }) => kind)).to.deep.equal(["monitor", "answer", "answer"]);
    for (const commitSeq of [1, 2, 3]) receive({ type: "batch-written", batch: 99, replies: [], commitSeq });
    const advanced = (commitSeq: number): object => ({
      kind: "tell",
      to: "reader",
      message: { type: "journal-advanced", commitSeq },
    });
    const timer = { kind: "after", delayMs: 20, message: { type: "announce" } };
    expect(ctx.taken()).to.deep.equal([advanced(1), timer]);
    receive({ type: "announce" });
    expect(ctx.taken()).to.deep.equal([advanced(3), timer]);
    receive({ type: "announce" });
    expect(ctx.taken()).to.deep.equal([]);
    receive({ type: "unsubscribe", subscriber }, { type: "batch-written", batch: 99, replies: [], commitSeq: 4 });
    expect(ctx.taken()).to.deep.equal([]);
  });

  it("tells subscribers when acknowledgements wait, also who comes later, and when they go on", () => {
    receive(
      { type: "subscribe", subscriber: { id: "early" } },
      { type: "acknowledgements-paused", reason: "disk-full" },
    );
    receive({ type: "subscribe", subscriber: { id: "late" } }, { type: "subscriber-stopped", subscriber: "early" });
    receive({ type: "acknowledgements-paused", reason: null });
    expect(ctx.taken().filter(({ kind }) => kind === "tell")).to.deep.equal([
      { kind: "tell", to: "early", message: { type: "journal-paused", reason: "disk-full" } },
      { kind: "tell", to: "late", message: { type: "journal-paused", reason: "disk-full" } },
      { kind: "tell", to: "late", message: { type: "journal-paused", reason: null } },
    ]);
  });

  it("refuses more subscribers than its bound", () => {
    for (let index = 0; index <= subscribersMax; index++)
      receive({ type: "subscribe", subscriber: { id: `s${index}` } });
    const replies = ctx.taken().flatMap((effect) => (effect.kind === "answer" ? [effect.reply] : []));
    expect(replies.filter((reply) => (reply as { ok: boolean }).ok)).to.have.length(subscribersMax);
    expect(replies.at(-1)).to.include({ ok: false, code: "TOO_MANY_SUBSCRIBERS" });
  });
});
