/** The far side of the bare references: a worker that echoes, with nothing of Drover in it. */

import { parentPort, workerData } from "node:worker_threads";
import { Packr } from "msgpackr/pack";
import { bareStructures } from "./bare-structures.js";

type Message = { id: number; payload: unknown };
const port = parentPort;
if (!port) throw new Error("bare-thread runs in worker threads only");

if ((workerData as { mode: string }).mode === "plain") {
  port.on("message", (message: unknown) => port.postMessage(message));
} else {
  const packr = new Packr({ structures: bareStructures() });

  port.on("message", (frame: Uint8Array) => {
    const messages = packr.unpack(frame) as Message[];
    const answers = messages.filter(({ id }) => id >= 0).map(({ id, payload }) => ({ id, payload }));

    if (answers.length === 0) return;
    const packed = packr.pack(answers);
    const copy = new Uint8Array(packed.length);
    copy.set(packed);
    port.postMessage(copy, [copy.buffer]);
  });
}
