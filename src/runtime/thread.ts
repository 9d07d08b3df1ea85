/** One worker thread seen from the main thread: its control interface, its health, and the ports that join it to the other hosts. */

import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import * as Comlink from "comlink";
import nodeEndpoint from "comlink/dist/esm/node-adapter.mjs";
import type { ExitReason } from "./actor.js";
import type { ThreadControl, ThreadData, ThreadEvent } from "./thread-control.js";

const mainModule = new URL("./thread-main.js", import.meta.url);

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

  /** Joins this thread to another host; the other half of the channel is given back. */
  openPort(peer: number): MessagePort {
    const { port1, port2 } = new MessageChannel();
    this.#settled(this.control.connect(peer, Comlink.transfer(port1, [port1])));
    return port2;
  }

  connect(peer: number, port: MessagePort): void {
    this.#settled(this.control.connect(peer, Comlink.transfer(port, [port])));
  }

  /** A control call whose answer nobody waits for: it can only fail with the thread, which `onGone` tells. */
  #settled(call: Promise<unknown>): void {
    call.catch((thrown: unknown) => this.terminate({ kind: "error", message: String(thrown) }));
  }

  send(call: (control: Comlink.Remote<ThreadControl>) => Promise<unknown>): void {
    if (!this.#isGone) this.#settled(call(this.control));
  }

  /** Whether the event loop answers within `deadlineMs`. */
  isResponsive(deadlineMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => resolve(false), deadlineMs);
      this.control.ping().then(
        () => {
          clearTimeout(timer);
          resolve(true);
        },
        () => resolve(false),
      );
    });
  }

  /** Ends the thread for a reason, as if it had ended itself. */
  terminate(reason: ExitReason): void {
    this.#failure = reason;
    void this.#worker.terminate();
  }

  /** Ends the thread without a word. */
  async end(): Promise<void> {
    this.#isGone = true;
    await this.#worker.terminate();
    this.#events.close();
  }

  #gone(reason: ExitReason): void {
    if (this.#isGone) return;
    this.#isGone = true;
    this.#events.close();
    this.#onGone(reason);
  }
}
