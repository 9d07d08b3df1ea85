/**
 * A conversation in JSON lines over a Unix socket: requests are answered by id, events come in between.
 *
 * The far sides are the Python nursery and zygote (docs/nursery.md). Every request ends: answered, refused, or rejected when the
 * connection is lost. What an answer holds is for the caller to parse.
 */

import { connect, type Socket } from "node:net";

/** A line longer than this ends the connection, as on the far side. */
const lineBytesMax = 8 * 1024 * 1024;

export type JsonObject = Readonly<Record<string, unknown>>;

/** The far side refused: an expected answer with a code. */
export class RefusedRequest extends Error {
  override readonly name = "RefusedRequest";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

type Pending = Readonly<{ resolve: (answer: JsonObject) => void; reject: (error: Error) => void }>;

export class LineSocket {
  readonly #socket: Socket;
  readonly #pending = new Map<number, Pending>();
  readonly #onEvent: (event: JsonObject) => void;
  readonly #onClose: () => void;
  #received = "";
  #nextId = 1;
  #isOpen = true;

  private constructor(socket: Socket, onEvent: (event: JsonObject) => void, onClose: () => void) {
    this.#socket = socket;
    this.#onEvent = onEvent;
    this.#onClose = onClose;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#take(text));
    socket.on("error", () => undefined); // `close` follows, and says it all.
    socket.on("close", () => this.#closed());
  }

  /** Rejects where nobody listens. `onClose` is called once, when the connection is lost or closed. */
  static async open(path: string, onEvent: (event: JsonObject) => void, onClose: () => void): Promise<LineSocket> {
    const socket = connect(path);
    await new Promise<void>((resolve, reject) => {
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve();
      });
    });
    return new LineSocket(socket, onEvent, onClose);
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** Rejects with `RefusedRequest`, or with an error when the connection is lost first. */
  request(name: string, fields: JsonObject = {}): Promise<JsonObject> {
    if (!this.#isOpen) return Promise.reject(new Error(`the connection was lost before ${name}`));
    const id = this.#nextId++;
    const answer = new Promise<JsonObject>((resolve, reject) => this.#pending.set(id, { resolve, reject }));
    this.#socket.write(`${JSON.stringify({ ...fields, id, do: name })}\n`);
    return answer;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** Does not keep the process alive. */
  unref(): void {
    this.#socket.unref();
  }

  #take(text: string): void {
    const lines = (this.#received + text).split("\n");
    this.#received = lines.pop() ?? "";
    if (this.#received.length > lineBytesMax) {
      this.#socket.destroy(new Error("a line of the far side is too long"));
      return;
    }
    for (const line of lines) if (line.length > 0) this.#receive(JSON.parse(line) as JsonObject);
  }

  #receive(message: JsonObject): void {
    const { id } = message;
    if (typeof id !== "number") {
      if (typeof message["event"] === "string") this.#onEvent(message);
      return;
    }
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    if (message["ok"] === true) pending?.resolve(message);
    else pending?.reject(new RefusedRequest(String(message["code"]), String(message["message"])));
  }

  #closed(): void {
    this.#isOpen = false;
    for (const { reject } of this.#pending.values()) reject(new Error("the connection was lost"));
    this.#pending.clear();
    this.#onClose();
  }
}
