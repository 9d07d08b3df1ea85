/** The lines that were added to a file since the last look. Copes with a file that is not there yet, and with one that was cut. */

import { closeSync, fstatSync, openSync, readSync } from "node:fs";

const bytesAtOnceMax = 256 * 1024;
const lineBytesMax = 64 * 1024;

export class FileTail {
  readonly #path: string;
  readonly #backBytes: number;
  #fd: number | null = null;
  #offset = 0;
  #rest = "";

  /** A file that is there already is read from `backBytes` before its end. */
  constructor(path: string, backBytes: number) {
    this.#path = path;
    this.#backBytes = backBytes;
  }

  /** Whole new lines, at most 256 KiB of them; of more only the newest, for progress is about the newest. */
  lines(): string[] {
    const fd = this.#open();
    if (fd === null) return [];
    const { size } = fstatSync(fd);
    if (size < this.#offset) this.#offset = 0; // It was cut: rotated, or begun again by its writer.
    if (size === this.#offset) return [];
    if (size - this.#offset > bytesAtOnceMax) {
      this.#offset = size - bytesAtOnceMax;
      this.#rest = "";
    }
    const buffer = Buffer.alloc(size - this.#offset);
    const bytes = readSync(fd, buffer, 0, buffer.length, this.#offset);
    this.#offset += bytes;
    const lines = (this.#rest + buffer.toString("utf8", 0, bytes)).split("\n");
    this.#rest = (lines.pop() ?? "").slice(-lineBytesMax);
    return lines;
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #open(): number | null {
    if (this.#fd !== null) return this.#fd;
    try {
      this.#fd = openSync(this.#path, "r");
    } catch {
      return null; // Not there yet.
    }
    this.#offset = Math.max(0, fstatSync(this.#fd).size - this.#backBytes);
    return this.#fd;
  }
}
