"""
One rank: how its process is made, and what is known of it until its exit is forgotten.

1. A rank leads a session of its own, dies with the nursery (PDEATHSIG), and carries its token in the environment.
2. Signals are blocked from before the fork until the child has its own handlers: a SIGTERM meant for the rank is never
   taken by the nursery's handler in the child.
3. A rank inherits descriptors 0, 1 and 2 and none of ours. A warm one keeps those of preloaded libraries, which would
   have opened them in a new process too; ours are closed by their owners, so that none closes a number that the script
   uses by then.
"""

import os
import resource
import signal
import time

from drover_nursery.descriptors import close_foreign
from drover_nursery.loop import Become
from drover_nursery.process_table import TOKEN_NAME, start_time
from drover_nursery.protocol import Refusal, field, needed
from drover_nursery.subreaper import die_with

_DEFAULT_TO_IGNORED = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python ignores these from its start; a rank begins as `python` itself would be begun, by exec or by a fork of it."""

_DESCRIPTOR_LIMIT = resource.getrlimit(resource.RLIMIT_NOFILE)
"""Before a nursery raised its own."""


class Spec:
    """What `start-rank` asks for, checked."""

    def __init__(self, request):
        self.token = needed(request, "token", str)
        self.rank = needed(request, "rank", int)
        self.local_rank = needed(request, "localRank", int)
        self.round = needed(request, "round", int)
        program = needed(request, "program", dict)
        self.kind = needed(program, "kind", str)
        if self.kind not in ("script", "module", "command"):
            raise Refusal("BAD_REQUEST", "program.kind is %r, not script, module or command" % self.kind)
        self.target = needed(program, "target", str)
        self.args = _strings(field(program, "args", list, []), "program.args")
        self.python = field(program, "python", str, "")
        if self.kind != "command" and not self.python:
            raise Refusal("BAD_REQUEST", "program.python is missing")
        env = needed(request, "env", dict)
        _strings(env.values(), "env")
        self.env = dict(env)
        self.env[TOKEN_NAME] = self.token
        self.cwd = needed(request, "cwd", str)
        self.stdin = field(request, "stdin", str, "/dev/null")
        self.stdout = field(request, "stdoutPath", str, "/dev/null")
        self.stderr = field(request, "stderrPath", str, "/dev/null")
        self.umask = field(request, "umask", int)
        self.hints = field(request, "hintsPath", str)
        self.allows_warm = field(request, "warm", bool, True)

    def command(self):
        """The cold command line. `-u` as torchrun has it, so that output is seen when it is printed."""
        if self.kind == "command":
            return [self.target] + self.args
        return [self.python, "-u"] + (["-m"] if self.kind == "module" else []) + [self.target] + self.args


def _strings(values, name):
    if not all(isinstance(value, str) and "\0" not in value for value in values):
        raise Refusal("BAD_REQUEST", "%s holds something that is not a string without NUL" % name)
    return list(values)


class RankProcess:
    """A started rank. `state` goes running → stopping → exited, or running → exited."""

    def __init__(self, spec, pid, is_warm):
        self.token = spec.token
        self.rank = spec.rank
        self.local_rank = spec.local_rank
        self.round = spec.round
        self.pid = pid
        self.start_time = start_time(pid)
        self.is_warm = is_warm
        self.state = "running"
        self.exit = None
        self.kill_timer = None

    def exited(self, status, usage):
        self.state = "exited"
        if self.kill_timer:
            self.kill_timer.cancel()
        signal_number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else None
        self.exit = {
            "exitCode": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "signal": _signal_name(signal_number) if signal_number else None,
            "coreDumped": bool(signal_number) and os.WCOREDUMP(status),
            "maxRssKb": usage.ru_maxrss,
            "cpuMs": round((usage.ru_utime + usage.ru_stime) * 1000),
            "atMs": round(time.time() * 1000),
        }

    def send_signal(self, number, to_group=True):
        if self.state == "exited":
            return
        try:
            (os.killpg if to_group else os.kill)(self.pid, number)
        except ProcessLookupError:
            os.kill(self.pid, number)  # Forked this moment, and not yet a group leader; or a zombie, which takes it.
        except PermissionError:
            pass  # It changed its user; its end is waited for.

    def described(self):
        return {
            "token": self.token,
            "rank": self.rank,
            "localRank": self.local_rank,
            "round": self.round,
            "pid": self.pid,
            "startTime": self.start_time,
            "warm": self.is_warm,
            "state": self.state,
            "exit": self.exit,
        }


def _signal_name(number):
    try:
        return signal.Signals(number).name
    except ValueError:
        return "SIG%d" % number


def start(spec, warm_role, abandon):
    """
    Forks the rank and gives its pid. With `warm_role` the child becomes `warm_role(spec)`, else it executes the
    command.

    `abandon` closes the parent's descriptors in a warm child. Raises Refusal CANNOT_START where a file, folder or
    program is not to be had.
    """
    streams = _open_streams(spec)
    told, tell = os.pipe()
    os.set_inheritable(tell, False)
    everything = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, everything)  # 2
    try:
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            _child(spec, warm_role, abandon, streams, tell, parent)
    finally:
        if os.getpid() == parent:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            for fd in set(streams) | {tell}:
                os.close(fd)
    with os.fdopen(told, "rb") as file:
        problem = file.read()  # Ends at exec, or when a warm child has set itself up.
    if problem:
        os.waitpid(pid, 0)
        raise Refusal("CANNOT_START", problem.decode(errors="replace"))
    return pid


def _open_streams(spec):
    opened = []
    try:
        opened.append(os.open(spec.stdin, os.O_RDONLY | os.O_CLOEXEC))
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        opened.append(os.open(spec.stdout, flags, 0o644))
        opened.append(opened[1] if spec.stderr == spec.stdout else os.open(spec.stderr, flags, 0o644))
    except OSError as error:
        for fd in opened:
            os.close(fd)
        raise Refusal("CANNOT_START", "%s: %s" % (error.filename, error.strerror)) from error
    return opened


def _child(spec, warm_role, abandon, streams, tell, parent):
    """Never returns: executes, raises Become, or ends."""
    try:
        os.setsid()  # 1
        die_with(parent)
        for number, fd in enumerate(streams):
            os.dup2(fd, number, inheritable=True)
        os.chdir(spec.cwd)
        resource.setrlimit(resource.RLIMIT_NOFILE, _DESCRIPTOR_LIMIT)
        if spec.umask is not None:
            os.umask(spec.umask)
        _reset_signals(spec, warm_role)
        if warm_role is None:
            close_foreign([tell])
            signal.pthread_sigmask(signal.SIG_SETMASK, [])
            command = spec.command()
            _execute(command, spec.env)
        abandon()
        for fd in set(streams):
            os.close(fd)
        role = warm_role(spec)
    except OSError as error:
        name = "%s: " % error.filename if error.filename else ""
        os.write(tell, ("%s%s" % (name, error.strerror)).encode())
        os._exit(127)
    os.close(tell)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    raise Become(role)


def _execute(command, env):
    """As execvpe, but the error names the program, not the last folder of PATH."""
    try:
        os.execvpe(command[0], command, env)
    except OSError as error:
        raise OSError(error.errno, error.strerror, command[0]) from error


def _reset_signals(spec, warm_role):
    """Every handler to what a new process has: the default for a command, Python's own for a warm rank."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        handler = signal.SIG_DFL
        if warm_role is not None:
            handler = signal.SIG_IGN if number in _DEFAULT_TO_IGNORED else handler
            handler = signal.default_int_handler if number == signal.SIGINT else handler
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
