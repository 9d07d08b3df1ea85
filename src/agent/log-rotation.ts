/**
 * Keeps a rank's output within bounds, while the rank goes on writing to it.
 *
 * The rank holds the file open (O_APPEND), so it is copied and then cut. The price: what is written between the end of the copy and the
 * cut, a few microseconds, is lost. Renaming would lose nothing and would not end the growth, for the rank would follow the old file.
 *
 * - T1  At most `filesMax` files of an output: itself, `.1` (newest) … `.<filesMax - 1>`. With one file the output is cut and not kept.
 * - T2  What was written while the copy ran is copied as well, before the cut.
 */

import { closeSync, copyFileSync, fstatSync, ftruncateSync, openSync, readSync, renameSync, statSync, writeSync } from "node:fs";
import { copyFile } from "node:fs/promises";

/** Up to here the copy blocks: it is quicker than its detour. */
const blockingBytesMax = 1024 * 1024;

export async function rotateIfLarge(path: string, bytesMax: number, filesMax: number): Promise<boolean> {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size <= bytesMax) return false;
  for (let number = filesMax - 2; number >= 1; number--) {
    if (statSync(`${path}.${number}`, { throwIfNoEntry: false })) renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  }
  if (filesMax > 1) {
    if (size <= blockingBytesMax) copyFileSync(path, `${path}.1`);
    else await copyFile(path, `${path}.1`);
  }
  const from = openSync(path, "r+");
  try {
    if (filesMax > 1) copyRest(from, `${path}.1`);
    ftruncateSync(from, 0);
  } finally {
    closeSync(from);
  }
  return true;
}

// T2
function copyRest(from: number, path: string): void {
  const to = openSync(path, "a");
  try {
    const buffer = Buffer.alloc(64 * 1024);
    let at = fstatSync(to).size;
    for (let bytes = readSync(from, buffer, 0, buffer.length, at); bytes > 0; bytes = readSync(from, buffer, 0, buffer.length, at)) {
      writeSync(to, buffer, 0, bytes);
      at += bytes;
    }
  } finally {
    closeSync(to);
  }
}
