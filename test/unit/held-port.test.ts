/** A descriptor that a process was given is known by its inode: its number is given out again. */

import { type Server, createServer } from "node:net";
import { expect } from "chai";
import { type InheritedSocket, inheritedSocket, isStillOpen, untilHungUp, withListeningSocket } from "../../src/launch/held-port.js";

function listening(port = 0): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(port, "127.0.0.1", () => resolve(server));
  });
}

const portOf = (server: Server): number => (server.address() as { port: number }).port;
const closed = (server: Server): Promise<void> => new Promise((resolve) => server.close(() => resolve()));

describe("a port that is held for the next master", () => {
  it("is a socket that listens while it is used, and is closed then", async () => {
    const free = await listening();
    const address = `127.0.0.1:${portOf(free)}`;
    await closed(free);
    const seen: InheritedSocket[] = [];
    await withListeningSocket(address, (fd) => {
      seen.push(...[inheritedSocket(fd ?? -1)].flatMap((socket) => socket ?? []));
      expect(seen.map(isStillOpen)).to.deep.equal([true]);
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(seen.map(isStillOpen)).to.deep.equal([false]);
    expect(await untilHungUp(address), "nobody listens any more").to.equal(false);
  });

  it("is none where another program has it", async () => {
    const other = await listening();
    let given: number | null = 0;
    await withListeningSocket(`127.0.0.1:${portOf(other)}`, (fd) => (given = fd));
    expect(given).to.equal(null);
    await closed(other);
  });

  it("is not taken for another socket that has its number", async () => {
    const first = await listening();
    const { fd } = (first as unknown as { _handle: { fd: number } })._handle;
    const socket = inheritedSocket(fd);
    expect(socket && isStillOpen(socket)).to.equal(true);
    await closed(first);
    const later = await Promise.all(Array.from({ length: 20 }, () => listening()));
    expect(later.map((server) => (server as unknown as { _handle: { fd: number } })._handle.fd), "the number is given out again").to.include(fd);
    expect(socket && isStillOpen(socket)).to.equal(false);
    await Promise.all(later.map(closed));
    expect(inheritedSocket(1_000_000)).to.equal(null);
  });

  it("tells that the other end of a connection has gone", async () => {
    const server = await listening();
    const gone = untilHungUp(`127.0.0.1:${portOf(server)}`);
    const socket = await new Promise<{ destroy: () => void }>((resolve) => server.once("connection", resolve));
    socket.destroy();
    expect(await gone).to.equal(true);
    await closed(server);
  });
});
