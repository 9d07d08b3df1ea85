/** Where a Unix socket can be: the kernel takes 107 bytes for its path, and job folders may be deep. */

import { createHash } from "node:crypto";
import { chmodSync, lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { BoundaryError } from "../base/errors.js";

const pathBytesMax = 107;

/**
 * `wanted` if it is short enough, else a path in a folder of the user's own in the temporary folder, the same for the same `wanted`.
 * The folder is made.
 *
 * @throws BoundaryError `UNSAFE_SOCKET_FOLDER` where another user owns that folder
 */
export function socketPathFor(wanted: string): string {
  if (Buffer.byteLength(wanted) <= pathBytesMax) {
    mkdirSync(dirname(wanted), { recursive: true, mode: 0o700 });
    return wanted;
  }
  const { uid } = userInfo();
  const dir = join(tmpdir(), `drover-${uid}`);
  mkdirSync(dir, { recursive: true, mode: 0o700 });
  const owner = lstatSync(dir);
  if (!owner.isDirectory() || owner.uid !== uid) {
    const hint = `Remove ${dir}, or set TMPDIR or DROVER_HOME to a folder of your own.`;
    throw new BoundaryError("UNSAFE_SOCKET_FOLDER", `${dir} belongs to user ${owner.uid}, not to ${uid}`, { value: dir, hint });
  }
  chmodSync(dir, 0o700);
  return join(dir, `${createHash("sha256").update(wanted).digest("hex").slice(0, 24)}.sock`);
}
