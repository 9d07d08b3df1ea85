/**
 * The lock that keeps two masters from writing one job. It is an exclusive SQLite transaction on an empty file beside
 * the state, that is a lock of the kernel: it ends with the process (or thread) that holds it, however that dies.
 *
 * The state file itself stays free for readers. Nothing else may open the lock file: closing any descriptor of it in
 * the holder's process would drop the lock (POSIX), which is also why it is taken through SQLite, whose handles know of
 * each other.
 */

import Database from "better-sqlite3";
import { isBusy } from "./state-errors.js";

export type WriterLock = Readonly<{ release: () => void }>;

/**
 * Takes the lock of the state file at `statePath`; null when another holds it for longer than `waitMs` (0 to 60,000).
 */
export function takeWriterLock(statePath: string, waitMs: number): WriterLock | null {
  const database = new Database(`${statePath}.lock`, { timeout: waitMs });
  try {
    database.exec("BEGIN EXCLUSIVE");
  } catch (error) {
    database.close();
    if (isBusy(error)) return null;
    throw error;
  }
  return { release: () => void database.close() };
}
