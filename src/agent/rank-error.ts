/** Why a rank failed, from what it left: torchelastic's error file, else the end of its stderr. */

import { closeSync, fstatSync, openSync, readFileSync, readSync } from "node:fs";
import type { RankFiles } from "./rank-files.js";

const textBytesMax = 16 * 1024;

/** At most 16 KiB; empty where the rank left nothing. */
export function errorTextOf(files: RankFiles): string {
  return textOfErrorFile(files.error) ?? tailOf(files.stderr);
}

/** Whether the text of an exception says that memory was lacking. */
export function saysOutOfMemory(errorText: string): boolean {
  const last = errorText.trimEnd().split("\n").at(-1) ?? "";
  return /^(\w+\.)*(MemoryError|OutOfMemoryError)\b/.test(last) || /CUDA out of memory|DefaultCPUAllocator: can't allocate memory/.test(last);
}

/** How many processes the kernel has killed for want of memory since it was started. */
export function kernelOomKills(): number {
  try {
    return Number(/^oom_kill (\d+)$/m.exec(readFileSync("/proc/vmstat", "latin1"))?.[1] ?? 0);
  } catch {
    return 0; // Not every kernel tells.
  }
}

/** `{"message": "…"}` or `{"message": {"message": "…", "extraInfo": {"py_callstack": "…"}}}`, as torchelastic's `record` writes it. */
function textOfErrorFile(path: string): string | null {
  let content: unknown;
  try {
    content = JSON.parse(readFileSync(path, "utf8"));
  } catch {
    return null; // Most ranks write none; half a file says nothing either.
  }
  const message = fieldOf(content, "message");
  const text = fieldOf(fieldOf(message, "extraInfo"), "py_callstack") ?? fieldOf(message, "message") ?? message;
  return typeof text === "string" && text !== "" ? lastBytes(text) : null;
}

function tailOf(path: string): string {
  let fd: number;
  try {
    fd = openSync(path, "r");
  } catch {
    return ""; // It was never opened.
  }
  try {
    const { size } = fstatSync(fd);
    const buffer = Buffer.alloc(Math.min(size, textBytesMax));
    const bytes = readSync(fd, buffer, 0, buffer.length, size - buffer.length);
    const text = buffer.toString("utf8", 0, bytes);
    // The first line is half a line where the file is longer.
    return (size > textBytesMax ? text.slice(text.indexOf("\n") + 1) : text).trimEnd();
  } finally {
    closeSync(fd);
  }
}

function lastBytes(text: string): string {
  const bytes = Buffer.from(text);
  return bytes.length <= textBytesMax ? text : bytes.subarray(bytes.length - textBytesMax).toString("utf8");
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
