"""
One thread's event loop: sockets that are readable or writable, and timers.

1. Nothing here swallows an error: what a callback raises leaves `run`, and so does `Become`, by which a forked child
   leaves its parent's loop.
2. A child closes its copies of the sockets (`abandon`) without touching the parent's registrations.
"""

import errno
import heapq
import itertools
import selectors
import time

ACCEPT_PAUSE_SECONDS = 0.1
_SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Become(BaseException):
    """Raised in a forked child: unwinds the parent's frames up to the entry point, which then calls `role`."""

    def __init__(self, role):
        super().__init__("a forked child takes up its role")
        self.role = role


class Timer:
    """A callback at a time; `cancel` is allowed at any moment."""

    def __init__(self, at, callback):
        self.at = at
        self.callback = callback

    def cancel(self):
        self.callback = None


class Loop:
    def __init__(self):
        self._selector = selectors.DefaultSelector()
        self._timers = []
        self._order = itertools.count()
        self._is_running = False

    def watch(self, source, on_readable, on_writable=None):
        """
        Calls `on_readable()` (and `on_writable()`, where given) whenever the socket is ready; replaces what was asked
        before.
        """
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if on_writable else 0)
        if source in self._selector.get_map():
            self._selector.modify(source, events, (on_readable, on_writable))
        else:
            self._selector.register(source, events, (on_readable, on_writable))

    def forget(self, source):
        """Also allowed for a listener that pauses."""
        if source in self._selector.get_map():
            self._selector.unregister(source)

    def after(self, seconds, callback):
        timer = Timer(time.monotonic() + seconds, callback)
        heapq.heappush(self._timers, (timer.at, next(self._order), timer))
        return timer

    def accept(self, listener, on_connection):
        """
        Calls `on_connection(socket)` for each connection. Out of descriptors or memory it pauses, and they wait in the
        queue.
        """

        def ready():
            try:
                connection, _ = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if listener.fileno() < 0 or error.errno not in _SHORTAGES:
                    raise
                self.forget(listener)
                self.after(ACCEPT_PAUSE_SECONDS, lambda: listener.fileno() >= 0 and self.watch(listener, ready))
                return
            on_connection(connection)

        self.watch(listener, ready)

    def run(self):
        """Until `stop`."""
        self._is_running = True
        while self._is_running:
            for key, events in self._selector.select(self._wait()):
                on_readable, on_writable = key.data
                if events & selectors.EVENT_READ and self._is_watched(key):
                    on_readable()
                if events & selectors.EVENT_WRITE and on_writable and self._is_watched(key):
                    on_writable()
            self._fire()

    def stop(self):
        self._is_running = False

    def abandon(self):
        """
        For a forked child. Closing the selector first keeps the parent's registrations, which live in the same kernel
        object.
        """
        sources = [key.fileobj for key in self._selector.get_map().values()]
        self._selector.close()
        for source in sources:
            source.close()

    def _is_watched(self, key):
        """A callback earlier in the same turn may have closed the socket."""
        return key.fd >= 0 and self._selector.get_map().get(key.fd) is not None

    def _wait(self):
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return None
        return max(0.0, self._timers[0][0] - time.monotonic())

    def _fire(self):
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            callback = heapq.heappop(self._timers)[2].callback
            if callback is not None:
                callback()
