/** The bearer token of a job: made at its start, kept in its folder with mode 600, needed for everything but health. */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { linkSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { BoundaryError } from "../base/errors.js";

const pattern = /^[A-Za-z0-9_-]{43}$/;

/**
 * The token in the file; made there when there is none: 32 random bytes, base64url, mode 600. The file is there whole or not at all.
 *
 * @throws BoundaryError BAD_TOKEN for a file that holds something else
 */
export function tokenIn(path: string): string {
  return readToken(path) ?? makeToken(path);
}

function makeToken(path: string): string {
  const token = randomBytes(32).toString("base64url");
  const fresh = `${path}.${process.pid}.new`;
  writeFileSync(fresh, `${token}\n`, { mode: 0o600 });
  try {
    linkSync(fresh, path);
    return token;
  } catch (error) {
    const other = readToken(path);
    if (other === null) throw error;
    return other;
  } finally {
    rmSync(fresh, { force: true });
  }
}

function readToken(path: string): string | null {
  let token: string;
  try {
    token = readFileSync(path, "utf8").trim();
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return null;
    throw error;
  }
  if (pattern.test(token)) return token;
  throw new BoundaryError("BAD_TOKEN", `${path} does not hold a token`, {
    value: `${token.length} characters`,
    allowed: "43 characters of base64url",
    hint: "Remove the file: the master makes another at its next start.",
  });
}

/** Whether an Authorization header carries the token, in a time that does not tell how much of it is right. */
export function isAuthorized(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S+)$/i.exec(header ?? "")?.[1] ?? "";
  return timingSafeEqual(digestOf(given), digestOf(token));
}

function digestOf(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
