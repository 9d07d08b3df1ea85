/** All that a client sends of one message, over either of DLRover's transports. */

import type { Readable } from "node:stream";

/** Rejects with what `tooMuch` gives beyond `bytesMax`, and with the stream's own error; what comes after is dropped. */
export function readAll(stream: Readable, bytesMax: number, tooMuch: () => Error): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let parts: Buffer[] = [];
    let size = 0;
    stream.on("data", (part: Buffer) => {
      size += part.length;
      if (size <= bytesMax) return void parts.push(part);
      parts = [];
      reject(tooMuch());
    });
    stream.on("end", () => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)));
    stream.on("error", reject);
  });
}
