/**
 * The port of a master between two of its lives. The watchdog listens there the moment that the master is gone, and the next master inherits the
 * socket: whoever connects meanwhile waits in the kernel's queue instead of being refused. A stock agent of DLRover's that is refused once sleeps
 * for five seconds, and does not see its ranks die.
 */

import { readlinkSync } from "node:fs";
import { type Server, connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** A listening socket that this process was given. By its inode, for its number means something else once it was closed. */
export type InheritedSocket = Readonly<{ fd: number; inode: string }>;

/** The threads of a process that died may hold its port a moment longer than it is seen alive. */
const patienceMs = 300;
const retryMs = 2;

/** What `fd` is in this process; null where it is no socket. */
export function inheritedSocket(fd: number): InheritedSocket | null {
  const inode = inodeOf(fd);
  return inode === null ? null : { fd, inode };
}

export function isStillOpen({ fd, inode }: InheritedSocket): boolean {
  return inodeOf(fd) === inode;
}

function inodeOf(fd: number): string | null {
  try {
    const target = readlinkSync(`/proc/self/fd/${fd}`);
    return target.startsWith("socket:") ? target : null;
  } catch {
    return null; // It is not open.
  }
}

/**
 * Calls `use` with a socket that listens at `host:port`, for a child to inherit; with null where none can be had.
 *
 * The socket is closed here in the turn of the event loop in which it began to listen: no connection is taken off its queue.
 */
export async function withListeningSocket(address: string, use: (fd: number | null) => void): Promise<void> {
  const untilMs = performance.now() + patienceMs;
  do {
    const server = createServer();
    const isDone = new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      server.listen(partsOf(address), () => {
        use(descriptorOf(server));
        server.close();
        resolve();
      });
    });
    try {
      await isDone;
      return;
    } catch (error) {
      if (!(error instanceof Error && "code" in error && error.code === "EADDRINUSE")) break; // The master says what is wrong with the address.
      await delay(retryMs);
    }
  } while (performance.now() < untilMs);
  use(null);
}

/** Node has no public way from a server to its descriptor, but over an IPC channel, which would have to be kept. */
function descriptorOf(server: Server): number | null {
  const { _handle: handle } = server as Server & { _handle?: { fd?: number } | null };
  return handle?.fd ?? null;
}

/** Settles when a connection to `host:port` ends, which it does at once when the process at its other end dies; with false if there was none. */
export function untilHungUp(address: string): Promise<boolean> {
  return new Promise((resolve) => {
    const line = connect(partsOf(address));
    let wasUp = false;
    line.once("connect", () => (wasUp = true));
    line.on("error", () => undefined); // It closes.
    line.once("close", () => resolve(wasUp));
    line.resume();
  });
}

function partsOf(address: string): { host: string; port: number } {
  const at = address.lastIndexOf(":");
  return { host: address.slice(0, at).replace(/^\[|\]$/g, ""), port: Number(address.slice(at + 1)) };
}
