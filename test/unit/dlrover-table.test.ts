/** The table of messages: every class of DLRover's has its row, or is part of one, and docs/dlrover.md shows the same. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect } from "chai";
import { messageClasses } from "../../src/wire/dlrover/message-classes.js";
import { table } from "../../src/wire/dlrover/table.js";

const page = readFileSync(fileURLToPath(new URL("../../../docs/dlrover.md", import.meta.url)), "utf8");

/** Classes that only travel within others, carry a get or a report themselves, or are the base of others. */
const parts = ["BaseRequest", "BaseResponse", "DataLoaderConfig", "DiagnosisAction", "GPUStats", "NodeMeta", "OptimizerConfig", "OpStats", "RendezvousRequest", "Shard", "TensorStats"];

describe("the table of DLRover's messages", () => {
  it("has a row for every class that is asked or reported", () => {
    const known = new Set([...table.flatMap(({ cls, answer }) => [cls, ...(answer === null ? [] : [answer])]), ...parts]);
    expect(Object.keys(messageClasses).filter((cls) => !known.has(cls as never))).to.deep.equal([]);
    expect(new Set(table.map(({ method, cls }) => `${method} ${cls}`)).size).to.equal(table.length);
  });

  it("is the one that docs/dlrover.md shows", () => {
    const rows = [...page.matchAll(/^\| (`[A-Z]\w+`(?:, `[A-Z]\w+`)*) \| ([a-z]+(?:, [a-z]+)*) \| ([^|]*) \|/gm)];
    const shown = rows.flatMap(([, names = "", methods = "", answer = ""]) =>
      [...names.matchAll(/`(\w+)`/g)].flatMap(([, cls = ""]) =>
        methods.split(", ").map((method) => `${method} ${cls} ${method === "report" ? "-" : answer.trim() === "the same" ? cls : answer.replaceAll("`", "").trim()}`),
      ),
    );
    expect(shown.sort()).to.deep.equal(table.map(({ method, cls, answer }) => `${method} ${cls} ${answer ?? "-"}`).sort());
  });
});
