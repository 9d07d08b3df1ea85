"""
A server that speaks the protocol of torch's TCPStore, so that the store of a round outlives every rank and needs no
torch.

Requests are those of torch 2.13 (TCPStoreBackend.hpp), and its answers, as watched between its own client and server;
clients from 2.1 on send a part of them (by their source, not tried). The bytes are tcp_store_wire.py's; the values and who
waits for them are here.

1. A client waits for at most one thing: WAIT or BARRIER, ended by STOP_WAITING, or by CANCEL_WAIT's answer.
2. A value pushed to a queue wakes one waiter, a value set wakes all.
3. Nothing grows without bound: keys, bytes of one key and of the whole store. Beyond it the client that asked is
   dropped.
"""

import socket

from drover_nursery.tcp_store_wire import STOP_WAITING, Malformed, WireClient

KEYS_MAX = 1024 * 1024
KEY_BYTES_MAX = 64 * 1024
STORE_BYTES_MAX = 2 * 1024 * 1024 * 1024


class TcpStore:
    """Listens on `host` (a numeric address) and `port` (0: any). `close` drops every client."""

    def __init__(self, loop, host, port=0):
        self._loop = loop
        self.dropped = 0
        self.host = host
        self._values = {}
        self._bytes = 0
        self._queues = {}
        self._waiters = {}
        self._clients = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen(4096)
        except (OSError, OverflowError):
            self._socket.close()
            raise
        self._socket.setblocking(False)
        self.port = self._socket.getsockname()[1]
        loop.accept(self._socket, self._connected)

    def described(self):
        return {"host": self.host, "port": self.port, "keys": len(self._values), "clients": len(self._clients)}

    def close(self):
        self._loop.forget(self._socket)
        self._socket.close()
        for client in list(self._clients):
            client.close()

    def left(self, client):
        self._clients.discard(client)
        self.stop_waiting(client)

    def _connected(self, sock):
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._clients.add(WireClient(self._loop, sock, self))

    # What the requests do

    def put(self, key, value):
        self._replace(key, value)
        self._wake(key)

    def compare_set(self, key, expected, desired):
        """torch answers `expected` for a key that is not there, unless it is empty."""
        current = self._values.get(key)
        if current == expected or (current is None and not expected):
            self.put(key, desired)
            return desired
        return expected if current is None else current

    def get(self, key):
        return self._values.get(key, b"")

    def add(self, key, amount):
        text = self._values.get(key)
        try:
            total = amount + (int(text) if text is not None else 0)
        except ValueError as error:
            raise Malformed("ADD to a value that is not a number") from error
        self.put(key, b"%d" % total)
        return total

    def append(self, key, value):
        self.put(key, self._values.get(key, b"") + value)

    def delete(self, key):
        value = self._values.pop(key, None)
        if value is None:
            return 0
        self._bytes -= len(value)
        return 1

    def has(self, keys):
        return all(key in self._values or self._queues.get(key) for key in keys)

    def count(self):
        return len(self._values)

    def keys(self):
        return list(self._values)

    def wait(self, client, keys):
        missing = {key for key in keys if not self.has([key])}
        if not missing:
            return True
        self._enlist(client, missing)
        return False

    def barrier(self, client, key, world):
        """The counter is an ordinary value; whoever makes it reach `world` releases the others."""
        text = self._values.get(key, b"0")
        if not text.isdigit():
            raise Malformed("BARRIER on a value that is not a count")
        count = int(text) + 1
        self._replace(key, b"%d" % count)
        if count >= world:
            self._wake(key)
            return True
        self._enlist(client, {key})
        return False

    def queue_push(self, key, value):
        self._grow(key, len(value), key in self._queues)
        self._queues.setdefault(key, []).append(value)
        for client in list(self._waiters.get(key, ())):  # 2
            client.awaited.discard(key)
            self._unlist(client, key)
            if not client.awaited:
                client.send(STOP_WAITING)
                break

    def queue_pop(self, key):
        """How many there were, and the first of them."""
        queue = self._queues.get(key)
        if not queue:
            return 0, None
        count, value = len(queue), queue.pop(0)
        self._bytes -= len(value)
        if not queue:
            del self._queues[key]
        return count, value

    def queue_len(self, key):
        return len(self._queues.get(key, ()))

    def stop_waiting(self, client):
        for key in list(client.awaited):
            self._unlist(client, key)
        client.awaited.clear()

    def _replace(self, key, value):
        before = self._values.get(key)
        self._grow(key, len(value) - (len(before) if before is not None else 0), before is not None)
        self._values[key] = value

    def _grow(self, key, size, is_known):
        if len(key) > KEY_BYTES_MAX or self._bytes + size > STORE_BYTES_MAX:
            raise Malformed("the store is full")  # 3
        if not is_known and len(self._values) + len(self._queues) >= KEYS_MAX:
            raise Malformed("too many keys")
        self._bytes += size

    def _enlist(self, client, keys):
        self.stop_waiting(client)  # 1
        client.awaited = keys
        for key in keys:
            self._waiters.setdefault(key, {})[client] = True

    def _unlist(self, client, key):
        waiters = self._waiters.get(key)
        if waiters:
            waiters.pop(client, None)
            if not waiters:
                del self._waiters[key]

    def _wake(self, key):
        for client in self._waiters.pop(key, ()):
            client.awaited.discard(key)
            if not client.awaited:
                client.send(STOP_WAITING)
