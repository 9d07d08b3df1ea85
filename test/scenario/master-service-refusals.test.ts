/** Every code that the REST API answers with is got here once, over HTTP; none is missing. */

import { expect } from "chai";
import { SqliteJournal } from "../../src/store/sqlite-journal.js";
import { errorBody, httpErrorOf, statusOfCode } from "../../src/wire/http-error.js";
import { masterService } from "../../actors/protocol/refs.js";
import { BoundaryError } from "../../src/base/errors.js";
import { type Answer, type Asked, codeOf, held, WireFixture } from "../fixtures/wire-far-side.js";

const refusal = (code: string): object => ({ ok: false, code, message: `because of ${code}` });
const dataset = { name: "rows", size: 10, shardSize: 5 };
const lease = { worker: "n0/0/1" };

/** Refusals of components: what is asked, of whom, and the codes that it may be refused with. */
const refused: readonly (readonly [string, Asked, string, string, readonly string[]])[] = [
  ["/api/v1/datasets", { body: dataset }, "task-manager", "register-dataset", ["BAD_DATASET", "DATASET_DIFFERS", "TOO_MANY_DATASETS"]],
  ["/api/v1/datasets/rows/lease", { body: lease }, "task-manager", "lease-shard", ["UNKNOWN_DATASET"]],
  ["/api/v1/datasets/rows/tasks/4", { body: { ...lease, ok: true } }, "task-manager", "finish-shard", ["UNKNOWN_TASK", "NOT_THE_HOLDER"]],
  ["/api/v1/datasets/rows/checkpoint", { method: "PUT", body: { content: "x" } }, "task-manager", "restore-dataset", ["BAD_CHECKPOINT"]],
  ["/api/v1/job/pause", { body: {} }, "master-orchestrator", "pause-job", ["NOT_RUNNING"]],
  ["/api/v1/job/resume", { method: "POST" }, "master-orchestrator", "resume-job", ["NOT_PAUSED"]],
  ["/api/v1/job/scale", { body: { nodes: 3 } }, "job-auto-scaler", "scale-job", ["OUT_OF_RANGE", "JOB_ENDING", "CANNOT_PLACE"]],
  ["/api/v1/nodes/worker-0/actions", { body: { action: "restart" } }, "job-manager", "act-on-node", ["UNSUPPORTED_AGENT"]],
];

/** How each other code comes about. */
const provoked: Readonly<Record<string, (wire: WireFixture) => Promise<Answer>>> = {
  BAD_REQUEST: (wire) => wire.call("/api/v1/job/scale", { body: { nodes: 0 } }),
  HISTORY_QUERY: async (wire) => {
    await SqliteJournal.open({ path: wire.statePath }).close();
    return wire.call(`/api/v1/events?type=${Array.from({ length: 40 }, (_, index) => `t${index}`).join()}`);
  },
  UNAUTHORIZED: (wire) => wire.call("/api/v1/job", { token: "x".repeat(43) }),
  NOT_FOUND: (wire) => wire.call("/api/v2/job"),
  REQUEST_TIMEOUT: (wire) => raw(wire, "GET /healthz HTTP/1.1\r\nHost: x\r\n"),
  HEADERS_TOO_LARGE: (wire) => raw(wire, `GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ${"y".repeat(20_000)}\r\n\r\n`),
  BODY_TOO_LARGE: (wire) => wire.call("/api/v1/job/stop", { raw: JSON.stringify({ because: "x".repeat(1024 * 1024) }) }),
  UNSUPPORTED_MEDIA_TYPE: (wire) => wire.call("/api/v1/job/stop", { raw: "a=1", headers: { "content-type": "application/x-www-form-urlencoded" } }),
  RATE_LIMITED: async (wire) => {
    for (;;) {
      const answer = await wire.call("/healthz");
      if (answer.status !== 200) return answer;
    }
  },
  INTERNAL: (wire) => wire.call("/api/v1/findings"),
  STARTING: (wire) => wire.call("/readyz"),
  STATE_NOT_FOUND: (wire) => wire.call("/api/v1/events"),
  ACTOR_FAILED: (wire) => wire.call("/api/v1/job/resume", { method: "POST" }),
  ACTOR_NOT_FOUND: (wire) => wire.call("/api/v1/datasets"),
  ACTOR_RESTARTED: (wire) => whileHeld(wire, () => wire.system.restart("master-orchestrator")),
  DEADLINE_EXCEEDED: (wire) => whileHeld(wire, () => wire.system.advance(11_000)),
  STATE_DISK_FULL: async (wire) => {
    wire.system.tell(masterService, { type: "journal-paused", reason: "disk-full" });
    return whileHeld(wire, () => wire.system.advance(11_000));
  },
  STATE_LOCKED: async (wire) => {
    wire.system.tell(masterService, { type: "journal-paused", reason: "file-locked" });
    return whileHeld(wire, () => wire.system.advance(11_000));
  },
};

const script = {
  "master-orchestrator": {
    "stop-job": held,
    "resume-job": () => {
      throw new Error("a defect");
    },
  },
  "diagnosis-master": { "list-findings": { findings: 1n } },
};

describe("master service, its refusals", () => {
  let wire: WireFixture;
  afterEach(() => wire.close());

  for (const [path, asked, component, type, codes] of refused) {
    it(`gives refusals of ${type} their code and status`, async () => {
      let code = "";
      wire = await new WireFixture().start({ [component]: { [type]: () => refusal(code) } });
      for (code of codes) {
        const answer = await wire.call(path, asked);
        expect([answer.status, answer.body]).to.deep.equal([statusOfCode[code], { error: { code, message: `because of ${code}` } }]);
      }
    });
  }

  for (const [code, provoke] of Object.entries(provoked)) {
    it(`answers ${code} with its status, a sentence and what to do`, async () => {
      wire = new WireFixture({ limits: { requestsPerSecondMax: 20, headersTimeoutMs: 200 } });
      await wire.start({ ...script, ...(code === "STARTING" ? { "master-orchestrator": { "get-job": held } } : {}) });
      const asked = provoke(wire);
      if (code === "STARTING") {
        await until(wire, "master-orchestrator", "get-job");
        await wire.system.advance(2_000);
      }
      const answer = await asked;
      expect([codeOf(answer), answer.status]).to.deep.equal([code, statusOfCode[code]]);
      expect(errorBody.parse(answer.body)).to.deep.equal(answer.body);
      if (answer.status === 503 || answer.status === 429) expect(answer.headers).to.have.property("retry-after");
    });
  }

  it("answers what the state file and the runtime may say beyond that", () => {
    for (const code of ["STATE_DAMAGED", "STATE_IO", "STATE_NEWER"]) {
      expect(httpErrorOf(new BoundaryError(code, "no"), null)).to.include({ code, status: 500 });
    }
    expect(httpErrorOf(new BoundaryError("TOO_MANY_STREAMS", "no"), null).status).to.equal(503);
    wire = new WireFixture();
  });

  it("has a test for every code of the table", () => {
    const elsewhere = ["STATE_DAMAGED", "STATE_IO", "STATE_NEWER", "TOO_MANY_STREAMS", "TOO_MANY_CONNECTIONS", "MAILBOX_FULL", "SYSTEM_CLOSED"];
    const tested = [...refused.flatMap(([, , , , codes]) => codes), ...Object.keys(provoked), ...elsewhere];
    expect([...tested].sort()).to.deep.equal(Object.keys(statusOfCode).sort());
    wire = new WireFixture();
  });
});

/** A stop that nobody answers; `then` is what ends the waiting. */
async function whileHeld(wire: WireFixture, then: () => Promise<void>): Promise<Answer> {
  const stop = wire.call("/api/v1/job/stop", { body: {} });
  await until(wire, "master-orchestrator", "stop-job");
  await then();
  return stop;
}

async function until(wire: WireFixture, component: string, type: string): Promise<void> {
  while (!wire.heardBy(component).some((message) => message.type === type)) await wire.system.settle();
}

async function raw(wire: WireFixture, sent: string): Promise<Answer> {
  const [head = "", text = ""] = (await wire.bytes(sent)).split("\r\n\r\n");
  return { status: Number(head.split(" ")[1]), headers: {}, text, body: JSON.parse(text) as unknown };
}
