"""
JSON lines over a Unix socket that only its user can open.

1. A peer of another uid is closed before a byte of it is read (SO_PEERCRED), besides the socket's mode 0600.
2. A path is claimed by a lock on `<path>.lock`, held as long as its owner lives: a stale socket is replaced, a living
   one never.
3. A line is at most `LINE_BYTES_MAX`; unsent answers at most `UNSENT_BYTES_MAX`: beyond either, the connection is
   closed.
"""

import errno
import fcntl
import json
import os
import select
import socket
import struct
import sys

LINE_BYTES_MAX = 8 * 1024 * 1024
UNSENT_BYTES_MAX = 64 * 1024 * 1024


class Refusal(Exception):
    """An expected answer: `{ok: false, code, message}`."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Claim:
    """
    A listening socket and the lock that makes its path ours. Raises BlockingIOError where another process holds it.
    """

    def __init__(self, path):
        self.path = path
        self.lock_fd = os.open(path + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self.lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)  # 2
            if os.path.lexists(path):
                os.unlink(path)
            self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            before = os.umask(0o177)
            try:
                self.socket.bind(path)
            finally:
                os.umask(before)
            self.socket.listen(64)
            self.socket.setblocking(False)
        except BaseException:
            os.close(self.lock_fd)
            raise

    @classmethod
    def inherited(cls, path, descriptors):
        """The claim that this process held before it executed itself anew; `descriptors` is what `hand_on` gave."""
        claim = cls.__new__(cls)
        claim.path = path
        claim.lock_fd, socket_fd = (int(fd) for fd in descriptors.split(","))
        claim.socket = socket.socket(fileno=socket_fd)
        for fd in (claim.lock_fd, socket_fd):
            os.set_inheritable(fd, False)
        return claim

    def hand_on(self):
        """Keeps lock and socket, and whoever waits in its queue, over an exec."""
        descriptors = (self.lock_fd, self.socket.fileno())
        for fd in descriptors:
            os.set_inheritable(fd, True)
        return "%d,%d" % descriptors

    def drop(self):
        """A forked process that is not the owner lets go; the owner's lock stays."""
        self.socket.close()
        os.close(self.lock_fd)

    def release(self):
        """The owner ends: nothing stays on disk."""
        for path in (self.path, self.path + ".lock"):
            try:
                os.unlink(path)
            except FileNotFoundError:
                pass  # A person, or the end of the job, removed the folder first.
        self.drop()


def claimed(path):
    """Claims the socket's path and says so on stdout; where another process has it, says that, and ends with 0."""
    try:
        claim = Claim(path)
    except BlockingIOError:
        sys.stdout.write("already-listening\n")
        sys.stdout.flush()
        raise SystemExit(0) from None
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    return claim


class Connection:
    """One peer. `on_request(connection, request)` for every line; `on_close(connection)` once."""

    def __init__(self, loop, sock, on_request, on_close):
        self._loop = loop
        self._socket = sock
        self._on_request = on_request
        self._on_close = on_close
        self._received = b""
        self._unsent = b""
        self.is_open = True
        sock.setblocking(False)
        loop.watch(sock, self._read)

    def send(self, message):
        """Queues one line. A closed connection drops it: whoever comes back asks for the state."""
        if not self.is_open:
            return
        self._unsent += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self._write()

    def is_peer_gone(self):
        """Whether nobody is left to hear an answer: its end may lie behind requests that were not read yet."""
        poll = select.poll()
        poll.register(self._socket, select.POLLRDHUP)
        return not self.is_open or bool(poll.poll(0))

    def close(self):
        if not self.is_open:
            return
        self.is_open = False
        self._loop.forget(self._socket)
        self._socket.close()
        self._on_close(self)

    def _read(self):
        try:
            data = self._socket.recv(262144)
        except BlockingIOError:
            return
        except OSError:
            data = b""  # A reset is an end like any other.
        if not data:
            self.close()
            return
        lines = (self._received + data).split(b"\n")
        self._received = lines.pop()
        if len(self._received) > LINE_BYTES_MAX:  # 3
            self.close()
            return
        for line in lines:
            if self.is_open and line.strip():
                self._take(line)

    def _take(self, line):
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise ValueError("a request is a JSON object")
        except ValueError as error:
            self.send({"id": None, "ok": False, "code": "BAD_REQUEST", "message": str(error)})
            return
        try:
            answer = self._on_request(self, request)
        except Refusal as refusal:
            answer = {"ok": False, "code": refusal.code, "message": str(refusal)}
        if answer is not None:
            self.send({"id": request.get("id"), **answer})

    def _write(self):
        try:
            sent = self._socket.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN):
                raise
            self.close()
            return
        self._unsent = self._unsent[sent:]
        if len(self._unsent) > UNSENT_BYTES_MAX:  # 3
            self.close()
            return
        self._loop.watch(self._socket, self._read, self._write if self._unsent else None)


class Server:
    """Accepts connections on a claimed path."""

    def __init__(self, loop, claim, on_request, on_close):
        self._loop = loop
        self._on_request = on_request
        self._on_close = on_close
        self.connections = set()
        loop.accept(claim.socket, self._connected)

    def _connected(self, sock):
        _, uid, _ = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        if uid != os.getuid():  # 1
            sock.close()
            return
        self.connections.add(Connection(self._loop, sock, self._on_request, self._closed))

    def _closed(self, connection):
        self.connections.discard(connection)
        self._on_close(connection)


def field(request, name, kind, default=None):
    """A typed field of a request; absent or null gives `default`, another type is refused."""
    value = request.get(name)
    if value is None:
        return default
    if not isinstance(value, kind) or (kind is not bool and isinstance(value, bool)):
        raise Refusal("BAD_REQUEST", "%s is %r, not a %s" % (name, value, getattr(kind, "__name__", "number")))
    return value


def needed(request, name, kind):
    value = field(request, name, kind)
    if value is None:
        raise Refusal("BAD_REQUEST", "%s is missing" % name)
    return value
