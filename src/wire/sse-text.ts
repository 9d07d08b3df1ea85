/** Server-sent events as text, both ways: what this API writes and reads of the format, which is `id`, `event` and one line of `data`. */

import { StringDecoder } from "node:string_decoder";

/** Characters of one event; a longer one ends the reading. */
const eventCharsMax = 16 * 1024 * 1024;

/** One event. `data` must hold no line break, as JSON does not. */
export function eventText(id: number, type: string, data: string): string {
  return `id: ${id}\nevent: ${type}\ndata: ${data}\n\n`;
}

/** The data of each event of a stream, as it comes. Comments are skipped. */
export async function* eventsIn(stream: AsyncIterable<unknown>): AsyncGenerator<string, void, undefined> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of stream) {
    rest += typeof chunk === "string" ? chunk : decoder.write(chunk as Buffer);
    const events = rest.split("\n\n");
    rest = events.pop() ?? "";
    if (rest.length > eventCharsMax) throw new Error(`an event of over ${eventCharsMax} characters`);
    for (const event of events) {
      const line = event.split("\n").find((text) => text.startsWith("data: "));
      if (line !== undefined) yield line.slice("data: ".length);
    }
  }
}
