"""
Parent of one node's ranks: starts them, keeps their exit statuses, hosts the stores of the rendezvous rounds, outlives
its agent.

It owns the processes and the stores; what should run is the agent's to say. Its protocol is in docs/nursery.md.

1. An exit status is kept until `forget-rank`: an agent that comes back learns of it.
2. One agent at a time: `hello` with `takeOver` makes the connection the agent's, and ends the one before.
3. What a dead rank leaves behind (its session, and every orphan that carries its token or nobody's) is killed;
   `stop-ranks` is answered when that is so.
4. Without an agent for the orphan time it stops the ranks and ends: nothing is left behind for ever.
"""

import os
import resource
import signal
import socket
import sys
import time

from drover_nursery import VERSION, process_table, rank_process
from drover_nursery.loop import Loop
from drover_nursery.protocol import Refusal, Server, field, needed
from drover_nursery.subreaper import become_subreaper
from drover_nursery.tcp_store import TcpStore

RANKS_MAX = 8192
"""Living and kept ranks together; beyond it `start-rank` is refused."""

ORPHAN_GRACE_SECONDS = 10.0

FIRST_AGENT_SECONDS = 10.0
"""An agent connects as soon as it has its nursery: without one for so long it was made for an agent that died meanwhile."""


class Nursery:
    def __init__(self, claim, orphan_seconds, token_prefix, warm=None):
        """
        `warm` turns a Spec into a role of a forked child (see warm_rank.py), or is None: every rank is then executed.
        """
        self._loop = Loop()
        self._claim = claim
        self._orphan_seconds = orphan_seconds
        self._warm = warm
        self._ranks = {}
        self._stores = {}
        self._stops = []
        self._agent = None
        self._is_ending = False
        self._orphan_timer = None
        self._dropped_clients = 0
        become_subreaper()
        _allow_many_descriptors()
        if token_prefix:
            for pid in process_table.with_token_prefix(token_prefix):
                process_table.kill(pid)
        self._watch_signals()
        self._server = Server(self._loop, claim, self._answer, self._connection_closed)
        self._await_agent(min(FIRST_AGENT_SECONDS, orphan_seconds))

    def run(self):
        self._loop.run()
        for store in self._stores.values():
            store.close()
        self._claim.release()
        if self._warm:  # Taking apart what it was forked with would take a third of a second, and is of no use to anybody.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(0)

    # Requests

    def _answer(self, connection, request):
        name = needed(request, "do", str)
        if name == "hello":
            return self._hello(connection, request)
        if name == "status":
            return self._described()
        if connection is not self._agent:
            raise Refusal("NOT_THE_AGENT", "say hello with takeOver before %s" % name)
        handlers = {
            "start-rank": self._start_rank,
            "signal-rank": self._signal_rank,
            "stop-ranks": self._stop_ranks,
            "forget-rank": self._forget_rank,
            "open-store": self._open_store,
            "close-store": self._close_store,
            "exit": self._exit,
        }
        if name not in handlers:
            raise Refusal("UNKNOWN_REQUEST", "%r is not known to version %s" % (name, VERSION))
        return handlers[name](request)

    def _hello(self, connection, request):
        if field(request, "takeOver", bool, False) and connection is not self._agent:
            before, self._agent = self._agent, connection  # 2
            if before:
                before.send({"event": "replaced"})
                before.close()
            self._orphan_timer.cancel()
        return self._described()

    def _described(self):
        return {
            "ok": True,
            "version": VERSION,
            "pid": os.getpid(),
            "startTime": process_table.start_time(os.getpid()),
            "mode": "warm" if self._warm else "cold",
            "ranks": [rank.described() for rank in self._ranks.values()],
            "stores": [dict(store.described(), round=number) for number, store in self._stores.items()],
            "droppedStoreClients": self._dropped_clients + sum(store.dropped for store in self._stores.values()),
        }

    def _start_rank(self, request):
        spec = rank_process.Spec(request)
        if spec.token in self._ranks:
            raise Refusal("RANK_EXISTS", "a rank with token %s is known; forget it first" % spec.token)
        if len(self._ranks) >= RANKS_MAX:
            raise Refusal("TOO_MANY_RANKS", "%d ranks are known; forget some" % len(self._ranks))
        why_cold = self._why_cold(spec)
        role = None if why_cold else self._warm.role
        pid = rank_process.start(spec, role, self._abandon)
        rank = self._ranks[spec.token] = rank_process.RankProcess(spec, pid, role is not None)
        return {"ok": True, "pid": pid, "startTime": rank.start_time, "warm": rank.is_warm, "whyCold": why_cold}

    def _abandon(self):
        """In a forked child: nothing of ours stays open."""
        self._loop.abandon()
        self._waker.close()
        os.close(self._claim.lock_fd)

    def _why_cold(self, spec):
        if self._warm is None:
            return "this nursery is cold"
        return self._warm.why_not(spec)

    def _signal_rank(self, request):
        rank = self._rank(request)
        number = _signal_number(needed(request, "signal", str))
        rank.send_signal(number, field(request, "group", bool, True))
        return {"ok": True, "state": rank.state}

    def _forget_rank(self, request):
        rank = self._rank(request)
        if rank.state != "exited":
            raise Refusal("RANK_LIVES", "rank %s runs as %d" % (rank.token, rank.pid))
        del self._ranks[rank.token]
        return {"ok": True}

    def _rank(self, request):
        token = needed(request, "token", str)
        if token not in self._ranks:
            raise Refusal("UNKNOWN_RANK", "no rank has token %s" % token)
        return self._ranks[token]

    def _stop_ranks(self, request):
        number = field(request, "round", int)
        tokens = field(request, "tokens", list)
        grace = field(request, "graceMs", int, 10_000) / 1000
        chosen = {
            rank.token
            for rank in self._ranks.values()
            if rank.state != "exited"
            and (number is None or rank.round == number)
            and (tokens is None or rank.token in tokens)
        }
        self._stop(chosen, grace)
        self._stops.append((self._agent, request.get("id"), chosen))
        self._settle()
        return None  # `_settle` answers when it is true.

    def _open_store(self, request):
        number = needed(request, "round", int)
        if number in self._stores:
            return dict(self._stores[number].described(), ok=True)
        host = field(request, "host", str, "127.0.0.1")
        try:
            store = self._stores[number] = TcpStore(self._loop, host, field(request, "port", int, 0))
        except (OSError, OverflowError) as error:
            raise Refusal("CANNOT_LISTEN", "%s: %s" % (host, error)) from error
        return dict(store.described(), ok=True)

    def _close_store(self, request):
        store = self._stores.pop(needed(request, "round", int), None)
        if store:
            self._dropped_clients += store.dropped
            store.close()
        return {"ok": True}

    def _exit(self, request):
        if any(rank.state != "exited" for rank in self._ranks.values()):
            raise Refusal("RANKS_LIVE", "stop the ranks first")
        self._loop.stop()
        return {"ok": True}

    # Processes

    def _watch_signals(self):
        """SIGCHLD and SIGTERM reach the loop through a socket; other signals of a terminal are not for a nursery."""
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self._terminate)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        self._loop.watch(self._woken, self._signalled)

    def _terminate(self, *_):
        self._is_ending = True

    def _signalled(self):
        self._woken.recv(4096)
        self._reap()
        if self._is_ending:
            self._end()

    def _reap(self):
        by_pid = {rank.pid: rank for rank in self._ranks.values() if rank.state != "exited"}
        while True:
            try:
                dead = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if dead is None:
                break
            rank = by_pid.get(dead.si_pid)
            if rank:
                _kill_group(rank.pid)  # 3; before it is reaped, for then its number may be another's.
            _, status, usage = os.wait4(dead.si_pid, 0)
            if rank:
                rank.exited(status, usage)
                self._tell({"event": "rank-exited", **rank.described()})
        self._settle()

    def _settle(self):
        """Kills orphans, and answers each `stop-ranks` whose ranks are gone with all they left."""
        if self._kill_orphans():  # 3
            return
        living = {rank.token for rank in self._ranks.values() if rank.state != "exited"}
        waiting = []
        for agent, request_id, tokens in self._stops:
            if tokens & living:
                waiting.append((agent, request_id, tokens))
            elif agent:
                agent.send({"id": request_id, "ok": True, "stopped": sorted(tokens)})
        self._stops = waiting
        if self._is_ending and not living:
            self._loop.stop()

    def _kill_orphans(self):
        """
        Our children that are no rank and belong to no living one. Each one's death brings us here again, for its own
        children.
        """
        living = [rank for rank in self._ranks.values() if rank.state != "exited"]
        pids = {rank.pid for rank in living}
        tokens = {rank.token for rank in living}
        orphans = 0
        for pid in process_table.children(os.getpid()):
            fields = None if pid in pids else process_table.stat_fields(pid)
            if fields is None or fields[0] in "ZX" or int(fields[3]) in pids:
                continue
            if process_table.token_of(pid) not in tokens and process_table.kill(pid):
                orphans += 1
        return orphans

    def _stop(self, tokens, grace):
        """SIGTERM now, SIGKILL after `grace` seconds; a shorter grace than one before shortens it."""
        for rank in self._ranks.values():
            if rank.token not in tokens or rank.state == "exited":
                continue
            if rank.state == "running":
                rank.state = "stopping"
                rank.send_signal(signal.SIGTERM if grace > 0 else signal.SIGKILL)
            deadline = time.monotonic() + grace
            if rank.kill_timer is None or deadline < rank.kill_timer.at:
                if rank.kill_timer:
                    rank.kill_timer.cancel()
                rank.kill_timer = self._loop.after(grace, lambda rank=rank: rank.send_signal(signal.SIGKILL))

    # Agent

    def _tell(self, event):
        if self._agent:
            self._agent.send(event)

    def _connection_closed(self, connection):
        if connection is self._agent:
            self._agent = None
            self._await_agent(self._orphan_seconds)

    def _await_agent(self, seconds):
        self._orphan_timer = self._loop.after(seconds, self._end)  # 4

    def _end(self):
        self._is_ending = True
        self._stop(set(self._ranks), ORPHAN_GRACE_SECONDS)
        self._settle()


def _allow_many_descriptors():
    """
    A store has a connection of every rank in the world. Ranks get the limit that we were started with
    (rank_process.py).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _kill_group(pid):
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass  # No such group: the rank left nobody in it. EPERM: only a process that changed its user is in it.


def _signal_number(name):
    try:
        return signal.Signals[name]
    except KeyError as error:
        raise Refusal("BAD_REQUEST", "%r is not a signal's name" % name) from error
