/** One message of DLRover's as data: on which method it comes, and what answers it. table.ts has them all. */

import type { Sender } from "../../job/dlrover/dlrover-request.js";
import type { MasterCalls } from "../master-calls.js";
import type { Message, MessageName, MessageOf } from "./message-classes.js";
import { writeMessage } from "./message-codec.js";

export type Method = "get" | "report";

/** Who asks, and of whom what it asks is asked. */
export type Caller = Readonly<{
  sender: Sender;
  master: MasterCalls;
  /** True once nobody waits for the answer any more. */
  hasLeft: () => boolean;
}>;

export type Row = Readonly<{
  cls: MessageName;
  /** What comes on the other method is answered neutrally, as DLRover's own master does. */
  method: Method;
  /** The class of the answer to a get; null for a report, which is answered yes or no. */
  answer: MessageName | null;
  /** The pickle of the answer to a get. */
  handle(message: Message, caller: Caller): Promise<Uint8Array | boolean>;
}>;

export function get<Name extends MessageName, Answer extends MessageName>(
  cls: Name,
  answer: Answer,
  handle: (fields: MessageOf<Name>, caller: Caller) => Promise<Partial<MessageOf<Answer>>> | Partial<MessageOf<Answer>>,
): Row {
  return { cls, method: "get", answer, handle: async ({ fields }, caller) => writeMessage(answer, await handle(fields as MessageOf<Name>, caller)) };
}

export function report<Name extends MessageName>(cls: Name, handle: (fields: MessageOf<Name>, caller: Caller) => Promise<boolean> | boolean): Row {
  return { cls, method: "report", answer: null, handle: async ({ fields }, caller) => handle(fields as MessageOf<Name>, caller) };
}
