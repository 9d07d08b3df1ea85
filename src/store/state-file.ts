/**
 * Opens a job's state file for writing, or says in one clear error why not.
 *
 * - F1  One writer: the lock is held before the file is touched, and as long as it is open.
 * - F2  The file appears whole: it is made under another name and renamed, so an empty one is damage and not a
 *       beginning.
 * - F3  What was opened has passed `quick_check` and has the newest schema.
 */

import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync, statSync } from "node:fs";
import { hostname } from "node:os";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { errorCodeOf, isWritable, nearestFolder, stateError, stateErrorOf } from "./state-errors.js";
import type { Durability } from "./durability.js";
import { migrate, schemaVersionNewest, schemaVersionOf, stateApplicationId } from "./state-schema.js";
import { takeWriterLock } from "./writer-lock.js";

export type StateFile = Readonly<{ database: Database.Database; close: () => void }>;

/** How long a commit waits in place for another program's write lock before it is tried again later. */
const busyTimeoutMs = 250;
/** The write-ahead log is cut back to this after a checkpoint. */
const walBytesKept = 64 * 1024 * 1024;
const writersKept = 100;

/**
 * Opens the state file, and makes it where there is none. `lockWaitMs`: how long to wait for a master that is about to
 * end. Throws `BoundaryError`: STATE_LOCKED, STATE_DAMAGED, STATE_NEWER, STATE_READ_ONLY, STATE_DISK_FULL, STATE_IO.
 */
export function openStateFile(path: string, durability: Durability, lockWaitMs: number): StateFile {
  let release = (): void => undefined;
  try {
    if (!isWritable(nearestFolder(path)) || (existsSync(path) && !isWritable(path))) {
      throw stateError("STATE_READ_ONLY", path, "The job's state cannot be written: its folder or file is read-only.");
    }
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const lock = takeWriterLock(path, lockWaitMs);
    if (lock === null)
      throw stateError("STATE_LOCKED", path, `The job is being run by another master${lastWriterOf(path)}.`);
    release = lock.release; // F1
    if (!existsSync(path)) create(path);
    const database = openChecked(path, durability);
    return {
      database,
      close: () => {
        database.close();
        release();
      },
    };
  } catch (error) {
    release();
    throw stateErrorOf(error, path);
  }
}

/** Refuses a file that is not Drover's or of a newer schema. Used by readers too. */
export function checkStateVersion(database: Database.Database, path: string): void {
  if (database.pragma("application_id", { simple: true }) !== stateApplicationId) {
    throw stateError("STATE_DAMAGED", path, "This file is not a state file of Drover.");
  }
  const version = schemaVersionOf(database);
  if (version > schemaVersionNewest) {
    throw stateError(
      "STATE_NEWER",
      path,
      `The job's state has schema ${version}, this Drover knows up to ${schemaVersionNewest}.`,
    );
  }
}

// F2
function create(path: string): void {
  const log = `${path}-wal`;
  if (existsSync(log) && statSync(log).size > 0) {
    throw stateError("STATE_DAMAGED", path, `The job's state file is gone, but its write-ahead log ${log} is there.`);
  }
  const fresh = `${path}.new`;
  for (const name of [fresh, `${fresh}-journal`, log, `${path}-shm`]) rmSync(name, { force: true });
  const database = new Database(fresh);
  try {
    database.pragma("synchronous = FULL");
    migrate(database, Date.now());
  } finally {
    database.close();
  }
  renameSync(fresh, path);
  const folder = openSync(dirname(path), "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

// F3
function openChecked(path: string, durability: Durability): Database.Database {
  if (statSync(path).size === 0) throw stateError("STATE_DAMAGED", path, "The job's state file is empty.");
  const database = new Database(path, { timeout: busyTimeoutMs, fileMustExist: true });
  try {
    checkStateVersion(database, path);
    database.pragma("journal_mode = WAL");
    database.pragma(`synchronous = ${durability === "power" ? "FULL" : "NORMAL"}`);
    database.pragma(`journal_size_limit = ${walBytesKept}`);
    const found = database.pragma("quick_check(1)", { simple: true });
    if (found !== "ok") throw stateError("STATE_DAMAGED", path, `The job's state file is damaged: ${String(found)}.`);
    migrate(database, Date.now());
    database
      .prepare("INSERT INTO writers(pid, host, opened_at_ms) VALUES(?, ?, ?)")
      .run(process.pid, hostname(), Date.now());
    database
      .prepare("DELETE FROM writers WHERE writer_id <= (SELECT max(writer_id) FROM writers) - ?")
      .run(writersKept);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/**
 * " (process 123 on host x since …)" as the file tells it; empty where it cannot be asked, for it only adorns a
 * message.
 */
function lastWriterOf(path: string): string {
  let database: Database.Database | undefined;
  try {
    database = new Database(path, { readonly: true, fileMustExist: true });
    const row = database
      .prepare("SELECT pid, host, opened_at_ms FROM writers ORDER BY writer_id DESC LIMIT 1")
      .raw()
      .get();
    if (!Array.isArray(row)) return "";
    return ` (process ${String(row[0])} on ${String(row[1])}, since ${new Date(Number(row[2])).toISOString()})`;
  } catch (error) {
    if (errorCodeOf(error) === "") throw error;
    return "";
  } finally {
    database?.close();
  }
}
