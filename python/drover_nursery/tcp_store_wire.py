"""
The bytes between torch's TCPStore client and a store.

One byte of request type, then fields; integers are 8 bytes, little endian; a string is its length and its bytes. The
first request is VALIDATE with a magic number of 4 bytes. SET, APPEND, MULTI_SET and QUEUE_PUSH have no answer.

1. A client that sends a wrong magic, an unknown request or something over a bound is dropped and counted; the others go
   on.
2. A request acts when the whole of it has arrived.
"""

import struct

MAGIC = 0x3C85F7CE
STRING_BYTES_MAX = 64 * 1024 * 1024
"""Of a value (torch's own server: 8 MiB). A key may have 64 KiB (torch's: 8 KiB)."""
REQUEST_KEYS_MAX = 128 * 1024
"""As torch's server."""
UNSENT_BYTES_MAX = 512 * 1024 * 1024

READY, NOT_READY = b"\0", b"\1"
STOP_WAITING, WAIT_CANCELED = b"\0", b"\1"
_U64 = struct.Struct("<Q")
_I64 = struct.Struct("<q")
_U32 = struct.Struct("<I")


class Malformed(Exception):
    """The client's fault: it is dropped (1)."""


class _Incomplete(Exception):
    """The rest of the request is still on its way."""


class WireClient:
    """
    One connection: parses requests and sends answers. `awaited` is the store's: the keys that this client waits for.
    """

    def __init__(self, loop, sock, store):
        self._loop = loop
        self._socket = sock
        self._store = store
        self._buffer = bytearray()
        self._at = 0
        self._needs = 1
        self._unsent = b""
        self._is_validated = False
        self._is_open = True
        self._watches_writes = False
        self.awaited = set()
        loop.watch(sock, self._read)

    def close(self):
        if self._is_open:
            self._is_open = False
            self._loop.forget(self._socket)
            self._socket.close()
            self._store.left(self)

    def send(self, data):
        if not self._is_open:
            return
        self._unsent = self._unsent + data if self._unsent else data
        self._write()

    def _write(self):
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass  # The rest follows when the socket is writable.
        except OSError:
            self.close()  # The peer is gone; what became of its rank is the nursery's to say.
            return
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._drop()
        elif bool(self._unsent) != self._watches_writes:
            self._watches_writes = bool(self._unsent)
            self._loop.watch(self._socket, self._read, self._write if self._unsent else None)

    def _read(self):
        try:
            data = self._socket.recv(1048576)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # A reset is an end like any other.
        if not data:
            self.close()
            return
        self._buffer += data
        try:
            while self._is_open and len(self._buffer) >= self._needs:
                self._at = 0
                self._request()
                del self._buffer[: self._at]
                self._needs = 1
        except _Incomplete:
            pass  # `_needs` says from how many bytes on it is worth another look.
        except Malformed:
            self._drop()

    def _drop(self):
        self._store.dropped += 1
        self.close()

    def _request(self):
        kind = self._take(1)[0]
        if not self._is_validated:
            if kind != 0 or _U32.unpack(self._take(4))[0] != MAGIC:
                raise Malformed("not a store's client")
            self._is_validated = True
            return
        request = _REQUESTS.get(kind)
        if request is None:
            raise Malformed("request %d is not known" % kind)
        request(self)

    # Fields

    def _take(self, size):
        end = self._at + size
        if end > len(self._buffer):
            self._needs = end
            raise _Incomplete
        data = bytes(self._buffer[self._at : end])
        self._at = end
        return data

    def _string(self):
        size = _U64.unpack(self._take(8))[0]
        if size > STRING_BYTES_MAX:
            raise Malformed("a string of %d bytes" % size)
        return self._take(size)

    def _number(self):
        return _I64.unpack(self._take(8))[0]

    def _keys(self):
        count = _U64.unpack(self._take(8))[0]
        if count > REQUEST_KEYS_MAX:
            raise Malformed("a request with %d keys" % count)
        return [self._string() for _ in range(count)]

    # Requests: read everything, then act (2).

    def _set(self):
        self._store.put(self._string(), self._string())

    def _compare_set(self):
        self.send(_framed(self._store.compare_set(self._string(), self._string(), self._string())))

    def _get(self):
        self.send(_framed(self._store.get(self._string())))

    def _add(self):
        self.send(_I64.pack(self._store.add(self._string(), self._number())))

    def _check(self):
        self.send(READY if self._store.has(self._keys()) else NOT_READY)

    def _wait(self):
        if self._store.wait(self, self._keys()):
            self.send(STOP_WAITING)

    def _get_num_keys(self):
        self.send(_I64.pack(self._store.count()))

    def _delete_key(self):
        self.send(_I64.pack(self._store.delete(self._string())))

    def _append(self):
        self._store.append(self._string(), self._string())

    def _multi_get(self):
        self.send(b"".join(_framed(self._store.get(key)) for key in self._keys()))

    def _multi_set(self):
        count = _U64.unpack(self._take(8))[0]
        if count > REQUEST_KEYS_MAX:
            raise Malformed("a request with %d keys" % count)
        for key, value in [(self._string(), self._string()) for _ in range(count)]:
            self._store.put(key, value)

    def _cancel_wait(self):
        self._store.stop_waiting(self)
        self.send(WAIT_CANCELED)

    def _ping(self):
        self.send(self._take(4))

    def _queue_push(self):
        self._store.queue_push(self._string(), self._string())

    def _queue_pop(self):
        count, value = self._store.queue_pop(self._string())
        self.send(_I64.pack(count) + (_framed(value) if count else b""))

    def _queue_len(self):
        self.send(_I64.pack(self._store.queue_len(self._string())))

    def _list_keys(self):
        keys = self._store.keys()
        self.send(_I64.pack(len(keys)) + b"".join(map(_framed, keys)))

    def _barrier(self):
        if self._store.barrier(self, self._string(), self._number()):
            self.send(STOP_WAITING)


def _framed(data):
    return _U64.pack(len(data)) + data


_REQUESTS = {
    1: WireClient._set,
    2: WireClient._compare_set,
    3: WireClient._get,
    4: WireClient._add,
    5: WireClient._check,
    6: WireClient._wait,
    7: WireClient._get_num_keys,
    8: WireClient._delete_key,
    9: WireClient._append,
    10: WireClient._multi_get,
    11: WireClient._multi_set,
    12: WireClient._cancel_wait,
    13: WireClient._ping,
    14: WireClient._queue_push,
    15: WireClient._queue_pop,
    16: WireClient._queue_len,
    17: WireClient._list_keys,
    18: WireClient._barrier,
}
