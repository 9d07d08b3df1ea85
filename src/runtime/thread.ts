/** One worker thread seen from the main thread: its control interface, its health, and the ports that join it to the other hosts. */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import { builtModule } from "../base/built-file.js";
import type { ExitReason } from "./actor.js";
import type { ThreadControl, ThreadData, ThreadEvent } from "./thread-control.js";

const mainModule = builtModule("src/runtime/thread-main.js");

export type ThreadOptions = Readonly<{
  index: number;
  heapMiB: number;
  onEvent: (event: ThreadEvent) => void;
  /** The thread is gone, once; not called after `end`. */
  onGone: (reason: ExitReason) => void;
}>;

export class Thread {
  readonly index: number;
  readonly heapMiB: number;
  readonly control: Comlink.Remote<ThreadControl>;
  /** Actors that live here. */
  readonly actors = new Set<string>();
  readonly #worker: Worker;
  readonly #events: MessagePort;
  readonly #onGone: (reason: ExitReason) => void;
  readonly #calls = new Set<(error: Error) => void>();
  #isGone = false;
  #failure: ExitReason | null = null;

  constructor({ index, heapMiB, onEvent, onGone }: ThreadOptions) {
    this.index = index;
    this.heapMiB = heapMiB;
    this.#onGone = onGone;
    const { port1, port2 } = new MessageChannel();
    this.#events = port1;
    port1.on("message", (event: ThreadEvent) => onEvent(event));
    const workerData: ThreadData = { host: index, events: port2 };
    this.#worker = new Worker(mainModule, { workerData, transferList: [port2], resourceLimits: { maxOldGenerationSizeMb: heapMiB } });
    this.#worker.on("error", (error: Error) => {
      const isHeap = "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
      this.#failure = { kind: isHeap ? "heap-limit" : "error", message: error.message };
    });
    this.#worker.on("exit", (code) => this.#gone(this.#failure ?? { kind: "thread-exit", message: `the thread exited with ${code}` }));
    this.control = Comlink.wrap<ThreadControl>(nodeEndpoint(this.#worker));
  }

  /** A control call; rejects when the thread goes before it has answered. */
  call<Value>(run: (control: Comlink.Remote<ThreadControl>) => Promise<Value>): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#isGone) {
        reject(new Error("the thread is gone"));
        return;
      }
      this.#calls.add(reject);
      const done = (): void => void this.#calls.delete(reject);
      run(this.control).then(resolve, reject).finally(done);
    });
  }

  /** Joins this thread to another host; the other half of the channel is given back. */
  openPort(peer: number): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.connect(peer, port1);
    return port2;
  }

  connect(peer: number, port: MessagePort): void {
    this.send((control) => control.connect(peer, Comlink.transfer(port, [port])));
  }

  /** A control call whose answer nobody waits for. One that fails while the thread lives ends the thread. */
  send(run: (control: Comlink.Remote<ThreadControl>) => Promise<unknown>): void {
    this.call(run).catch((thrown: unknown) => {
      if (!this.#isGone) this.terminate({ kind: "error", message: String(thrown) });
    });
  }

  /**
   * Whether the event loop answers within `deadlineMs`. When it is this thread that was late (it was blocked, or the machine slept) the
   * answer may lie unread in its queue: then it is given its time again.
   */
  async isResponsive(deadlineMs: number): Promise<boolean> {
    for (;;) {
      const since = performance.now();
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<"late">((resolve) => (timer = setTimeout(() => resolve("late"), deadlineMs)));
      const well = this.call((control) => control.ping()).then(() => "well" as const, () => "gone" as const);
      let outcome = await Promise.race([well, late]);
      clearTimeout(timer);
      const unread = new Promise<"late">((resolve) => setImmediate(() => resolve("late")));
      if (outcome === "late") outcome = await Promise.race([well, unread]);
      if (outcome !== "late") return outcome === "well";
      if (performance.now() - since < deadlineMs * 1.5) return false;
    }
  }

  /** Ends the thread for a reason, as if it had ended itself. */
  terminate(reason: ExitReason): void {
    this.#failure = reason;
    void this.#worker.terminate();
  }

  /** Ends the thread without a word. */
  async end(): Promise<void> {
    this.#settle("it was ended");
    await this.#worker.terminate();
    this.#events.close();
  }

  #gone(reason: ExitReason): void {
    if (this.#isGone) return;
    this.#settle("message" in reason ? reason.message : reason.kind);
    this.#events.close();
    this.#onGone(reason);
  }

  /** Nobody will answer what was called. */
  #settle(why: string): void {
    this.#isGone = true;
    for (const reject of this.#calls) reject(new Error(`the thread is gone: ${why}`));
    this.#calls.clear();
  }
}
