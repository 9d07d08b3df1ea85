/**
 * What a person is told about the job's state file. Owns the codes, and how errors of SQLite and of the file system map
 * to them.
 */

import { accessSync, constants, existsSync, statfsSync } from "node:fs";
import { dirname } from "node:path";
import Database from "better-sqlite3";
import { BoundaryError } from "../base/errors.js";

/** Documented in docs/errors.md. */
export type StateErrorCode =
  | "STATE_DAMAGED"
  | "STATE_DISK_FULL"
  | "STATE_IO"
  | "STATE_LOCKED"
  | "STATE_NEWER"
  | "STATE_NOT_FOUND"
  | "STATE_READ_ONLY";

/**
 * With less room than this an I/O error is taken for a full disk, for SQLite does not pass the system's own code on.
 */
const roomBytesMin = 1024 * 1024;

const hints: Readonly<Record<StateErrorCode, string>> = {
  STATE_DAMAGED:
    "Keep a copy of the file (sqlite3 FILE .recover reads what can be read). To begin afresh, move the job's folder away.",
  STATE_DISK_FULL: "Make room on that disk (df shows it), or set DROVER_HOME to a folder on another one.",
  STATE_IO:
    "See dmesg for the disk. A network folder without shared memory cannot hold the state: set DROVER_HOME to a local one.",
  STATE_LOCKED:
    "Another master runs this job: drover status shows it, drover stop ends it. A job has one master at a time.",
  STATE_NEWER: "Run it with the newer Drover that wrote it, or move the job's folder away and begin afresh.",
  STATE_NOT_FOUND: "Check the job's name with drover ps, and DROVER_HOME.",
  STATE_READ_ONLY: "Make the folder writable for this user, or set DROVER_HOME to one that is.",
};

export function stateError(code: StateErrorCode, path: string, message: string, cause?: unknown): BoundaryError {
  return new BoundaryError(code, message, { value: path, hint: hints[code] }, cause === undefined ? {} : { cause });
}

/** SQLite's code (`SQLITE_FULL`) or the system's (`ENOSPC`) of an error; empty for any other. */
export function errorCodeOf(error: unknown): string {
  if (error instanceof Database.SqliteError) return error.code;
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : "";
}

/** Whether the error means that there is no room on the disk of `path`. */
export function isDiskFull(error: unknown, path: string): boolean {
  const code = errorCodeOf(error);
  if (code === "SQLITE_FULL" || code === "ENOSPC" || code === "EDQUOT") return true;
  return (code.startsWith("SQLITE_IOERR") || code === "SQLITE_CANTOPEN") && roomBytes(path) < roomBytesMin;
}

/** Whether another program holds the write lock right now. */
export function isBusy(error: unknown): boolean {
  return errorCodeOf(error).startsWith("SQLITE_BUSY");
}

/** Whether this process may write into the file or folder (false on a read-only file system, for root too). */
export function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch (error) {
    if (["EROFS", "EACCES", "EPERM"].includes(errorCodeOf(error))) return false;
    throw error;
  }
}

/** The boundary error for whatever was thrown while the state file at `path` was opened or used. */
export function stateErrorOf(error: unknown, path: string): BoundaryError {
  if (error instanceof BoundaryError) return error;
  const code = errorCodeOf(error);
  const text = error instanceof Error ? error.message : String(error);
  if (code.startsWith("SQLITE_CORRUPT") || code === "SQLITE_NOTADB") {
    return stateError("STATE_DAMAGED", path, `The job's state file is damaged: ${text}.`, error);
  }
  if (isDiskFull(error, path))
    return stateError("STATE_DISK_FULL", path, `No room on the disk of the job's state: ${text}.`, error);
  if (isBusy(error))
    return stateError("STATE_LOCKED", path, "The job's state file is locked by another program.", error);
  if (code.startsWith("SQLITE_READONLY") || ["EROFS", "EACCES", "EPERM"].includes(code)) {
    return stateError("STATE_READ_ONLY", path, `The job's state cannot be written: ${text}.`, error);
  }
  return stateError(
    "STATE_IO",
    path,
    `The job's state file cannot be used: ${text}${code === "" ? "" : ` (${code})`}.`,
    error,
  );
}

/** The folder that the file is in, or the nearest one above it that is there already. */
export function nearestFolder(path: string): string {
  let folder = dirname(path);
  while (!existsSync(folder) && dirname(folder) !== folder) folder = dirname(folder);
  return folder;
}

function roomBytes(path: string): number {
  const room = statfsSync(nearestFolder(path));
  return room.bavail * room.bsize;
}
