"""
A Python interpreter with torch and the like loaded, which forks nurseries in milliseconds.

One per identity (user, interpreter, environment read at load). Its socket is its own; each nursery's socket is claimed
before the fork, so a nursery can be talked to as soon as its pid is answered. Its protocol is in docs/nursery.md.

1. It never touches CUDA: NVML answers `is_available` (PYTORCH_NVML_BASED_CUDA_CHECK).
2. It ends by itself `keep-warm` seconds after its last user (a connection or a nursery) is gone.
3. It is a subreaper: what a killed nursery leaves behind becomes its child and is killed.
4. One thread forks: what cannot be shared is left to the ranks (see preload.py).
5. Nothing is collected while it loads: nearly all of it stays, and looking through it took a quarter of the time.
"""

import gc
import os
import signal
import socket
import sys
import time

from drover_nursery import VERSION, process_table, process_title
from drover_nursery.identity import ROOM_BYTES, ROOM_NAME
from drover_nursery.loop import Become, Loop
from drover_nursery.nursery import Nursery
from drover_nursery.preload import Preload
from drover_nursery.protocol import Claim, Refusal, Server, claimed, field, needed
from drover_nursery.subreaper import become_subreaper
from drover_nursery.warm_rank import WarmRanks

_NVML_CHECK = "PYTORCH_NVML_BASED_CUDA_CHECK"

FIRST_USE_SECONDS = 60.0
"""Without any user since its start it ends after this, or after `keep-warm` where that is longer."""


class Zygote:
    def __init__(self, options):
        self._options = options
        self._keep_seconds = float(options.get("keep-warm", 0))
        self._nurseries = {}
        self._started_at = time.time()
        self._idle_timer = None
        self._loop = Loop()

    def run(self):
        self._make_room()
        self._loaded_with = dict(os.environ)
        self._loaded_with.pop(ROOM_NAME, None)
        process_title.set_command_line([sys.executable, "drover_nursery", "zygote", self._options["socket"]])
        os.environ.setdefault(_NVML_CHECK, "1")  # 1
        self._claim = self._claimed()
        become_subreaper()  # 3
        named = [name for name in self._options.get("preload", "").split(",") if name]
        if not named and "script" not in self._options:
            named = ["torch"]
        self._preload = Preload(filter(None, self._options.get("avoid", "").split(",")))
        gc.disable()  # 5
        self._preload.load(self._options.get("script"), self._options.get("hints"), named)
        if self._preload.unshareable:  # 4
            self._begin_again()
        _freeze()
        self._watch_signals()
        self._server = Server(self._loop, self._claim, self._answer, lambda _: self._user_left())
        self._wait_for_users(max(FIRST_USE_SECONDS, self._keep_seconds))
        self._loop.run()
        self._claim.release()

    def _claimed(self):
        if "claim" in self._options:
            return Claim.inherited(self._options["socket"], self._options["claim"])
        return claimed(self._options["socket"])

    def _make_room(self):
        """Starts the same command again with room for what /proc shows (process_title.py), unless it was given."""
        if ROOM_NAME in os.environ:
            return
        with open("/proc/self/cmdline", "rb") as file:
            command = file.read().split(b"\0")[:-1]
        room = {ROOM_NAME: "-" * ROOM_BYTES}
        os.execve(sys.executable, [*command, "--room", " " * ROOM_BYTES], {**os.environ, **room})

    def _set_by_modules(self):
        """Variables that modules added to the environment while they were imported, as they would in a new process."""
        ours = {*self._loaded_with, ROOM_NAME, _NVML_CHECK}
        return {name: value for name, value in os.environ.items() if name not in ours}

    def _begin_again(self):
        """Without the modules that cannot be shared. Connections wait in the socket's queue meanwhile."""
        avoid = [*self._preload.avoid, *self._preload.unshareable]
        sys.stderr.write("zygote: begins again without %s\n" % ", ".join(self._preload.unshareable))
        sys.stderr.flush()
        spaces = " " * ROOM_BYTES
        options = {**self._options, "avoid": ",".join(avoid), "claim": self._claim.hand_on(), "room": spaces}
        flags = ["-u"] if sys.stdout.write_through else []
        main = os.path.join(os.path.dirname(os.path.abspath(__file__)), "__main__.py")
        arguments = [part for name in options for part in ("--" + name, options[name])]
        room = {ROOM_NAME: "-" * ROOM_BYTES}
        os.execve(sys.executable, [sys.executable, *flags, main, "zygote", *arguments], {**self._loaded_with, **room})

    # Requests

    def _answer(self, connection, request):
        self._idle_timer.cancel()
        name = needed(request, "do", str)
        if name in ("hello", "status"):
            return self._described()
        if name == "fork-nursery":
            return self._fork_nursery(connection, request)
        if name == "exit":
            self._loop.stop()
            return {"ok": True}
        raise Refusal("UNKNOWN_REQUEST", "%r is not known to version %s" % (name, VERSION))

    def _described(self):
        torch = sys.modules.get("torch")
        return {
            "ok": True,
            "version": VERSION,
            "pid": os.getpid(),
            "startTime": process_table.start_time(os.getpid()),
            "python": sys.executable,
            "torch": str(torch.__version__) if torch else None,
            "modules": len(sys.modules),
            "avoided": sorted(self._preload.avoid),
            "nurseries": sorted(self._nurseries),
            "startedAtMs": round(self._started_at * 1000),
            "keepWarmMs": round(self._keep_seconds * 1000),
        }

    def _fork_nursery(self, connection, request):
        if connection.is_peer_gone():
            raise Refusal("CANNOT_START", "who asked for it is gone")
        path = needed(request, "socketPath", str)
        log = field(request, "logPath", str, "/dev/null")
        orphan_seconds = field(request, "orphanTimeoutMs", int, 300_000) / 1000
        prefix = field(request, "tokenPrefix", str, "")
        self._keep_seconds = field(request, "keepWarmMs", int, round(self._keep_seconds * 1000)) / 1000
        named = field(request, "preload", list, [])
        self._preload.load_more(field(request, "script", str), field(request, "hintsPath", str), named)
        _freeze()
        warm = WarmRanks(self._loaded_with, self._preload.watched, self._set_by_modules())
        try:
            log_fd = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            claim = Claim(path)
        except BlockingIOError as error:
            raise Refusal("ALREADY_LISTENING", "a nursery listens on %s" % path) from error
        except OSError as error:
            raise Refusal("CANNOT_START", "%s: %s" % (path, error)) from error
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        pid = os.fork()
        if pid == 0:
            self._become_nursery(path, log_fd, before)
            raise Become(lambda: Nursery(claim, orphan_seconds, prefix, warm).run())
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        claim.drop()
        os.close(log_fd)
        self._nurseries[pid] = path
        return {"ok": True, "pid": pid, "startTime": process_table.start_time(pid)}

    def _become_nursery(self, path, log_fd, mask):
        os.setsid()
        self._loop.abandon()
        self._waker.close()
        os.close(self._claim.lock_fd)
        os.dup2(log_fd, 1)
        os.dup2(log_fd, 2)
        os.close(log_fd)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        process_title.set_command_line([sys.executable, "drover_nursery", "nursery", path])

    # Processes

    def _watch_signals(self):
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._loop.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._loop.watch(self._woken, self._reap)

    def _reap(self):
        self._woken.recv(4096)
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if self._nurseries.pop(pid, None) is not None:
                event = {"event": "nursery-exited", "pid": pid, "status": status}
                for connection in list(self._server.connections):
                    connection.send(event)
                self._user_left()
        for pid in process_table.children(os.getpid()):  # 3
            fields = process_table.stat_fields(pid)
            if pid not in self._nurseries and fields and fields[0] not in "ZX":
                process_table.kill(pid)

    def _user_left(self):
        if not self._nurseries and not self._server.connections:
            self._wait_for_users(self._keep_seconds)

    def _wait_for_users(self, seconds):
        """2"""
        if self._idle_timer:
            self._idle_timer.cancel()
        self._idle_timer = self._loop.after(seconds, self._end_if_idle)

    def _end_if_idle(self):
        if not self._nurseries and not self._server.connections:
            self._loop.stop()


def _freeze():
    """The collector of a forked process leaves alone what is loaded, and so does not copy its pages."""
    gc.freeze()
    gc.enable()
