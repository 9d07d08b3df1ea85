import { expect } from "chai";
import { lineOf } from "../../bin/event-text.js";
import { eventJson } from "../../src/wire/event-json.js";

describe("events on the screen and as JSON", () => {
  const stored = (event: { type: string } & Record<string, unknown>): Parameters<typeof lineOf>[0] => {
    return { commitSeq: 7, actor: "job-manager", seq: 3, atMs: Date.UTC(2026, 0, 1, 1, 2, 3), type: event.type, isIntact: true, event };
  };
  const pairs = [["addr", new Uint8Array(Buffer.from("10.0.0.1"))], ["big", 2n ** 70n], ["model", new Uint8Array(3_000_000)]];

  it("show bytes as the text that they are or as their number, and what JSON does not know", () => {
    expect(lineOf(stored({ type: "keys-set", pairs }))).to.equal(
      '    7  01:02:03.000  job-manager         keys-set  {"pairs":[["addr","10.0.0.1"],["big","1180591620717411303424"],["model","<3000000 bytes>"]]}',
    );
    expect(lineOf(stored({ type: "x", of: new Map([["a", 1]]), who: new Set(["b"]), none: new Uint8Array() }))).to.include('{"of":{"a":1},"who":["b"],"none":"<0 bytes>"}');
    expect(lineOf(stored({ type: "x", long: "y".repeat(500) }))).to.have.length.below(260).and.match(/…$/);
  });

  it("carry bytes as base64 in JSON", () => {
    const { event } = JSON.parse(eventJson(stored({ type: "keys-set", pairs: pairs.slice(0, 2) }))) as { event: unknown };
    expect(event).to.deep.equal({ type: "keys-set", pairs: [["addr", "MTAuMC4wLjE="], ["big", "1180591620717411303424"]] });
  });
});
