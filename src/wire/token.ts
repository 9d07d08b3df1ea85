/** The bearer token of a job: made at its start, kept in its folder with mode 600, needed for everything but health. */

import { randomBytes, timingSafeEqual } from "node:crypto";
import { closeSync, openSync, readFileSync, writeSync } from "node:fs";

/** The token in the file; made there when there is none. 32 random bytes, base64url. */
export function tokenIn(path: string): string {
  try {
    const file = openSync(path, "wx", 0o600);
    const token = randomBytes(32).toString("base64url");
    writeSync(file, `${token}\n`);
    closeSync(file);
    return token;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return readFileSync(path, "utf8").trim();
    throw error;
  }
}

/** Whether an Authorization header carries the token, in a time that does not tell how much of it is right. */
export function isAuthorized(header: string | undefined, token: string): boolean {
  const given = Buffer.from(header?.replace(/^Bearer /, "") ?? "");
  const wanted = Buffer.from(token);
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
