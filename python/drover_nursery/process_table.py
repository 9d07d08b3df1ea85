"""What /proc tells of processes. A process that ends while we look is simply not there."""

import os
import signal

TOKEN_NAME = "DROVER_RANK_TOKEN"


def stat_fields(pid):
    """Fields of /proc/<pid>/stat from the third on (state is [0], ppid [1], session [3], start time [19]), or None."""
    try:
        with open("/proc/%d/stat" % pid, "rb") as file:
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return text[text.rindex(b")") + 2 :].decode().split()


def start_time(pid):
    """Field 22 of /proc/<pid>/stat: with the pid it names a process for ever. None where it is gone."""
    fields = stat_fields(pid)
    return fields[19] if fields else None


def children(pid):
    """Direct children, zombies included."""
    try:
        found = []
        for thread in os.listdir("/proc/%d/task" % pid):
            with open("/proc/%d/task/%s/children" % (pid, thread), "rb") as file:
                found.extend(int(child) for child in file.read().split())
        return found
    except (FileNotFoundError, ProcessLookupError):
        return [other for other, fields in _all() if fields[1] == str(pid)]  # A kernel without CONFIG_PROC_CHILDREN.


def token_of(pid):
    """The rank's token that the process carries in its environment; None without one, or where we may not look."""
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            entries = file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    prefix = TOKEN_NAME.encode() + b"="
    for entry in entries:
        if entry.startswith(prefix):
            return entry[len(prefix) :].decode(errors="surrogateescape")
    return None


def with_token_prefix(prefix):
    """Living processes, ours excepted, that carry a token which begins so."""
    found = []
    for pid, fields in _all():
        if fields[0] in "ZX" or pid == os.getpid():
            continue
        token = token_of(pid)
        if token is not None and token.startswith(prefix):
            found.append(pid)
    return found


def kill(pid):
    """SIGKILL; False where it is gone already, or not ours to kill (it changed its user)."""
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _all():
    for name in os.listdir("/proc"):
        if name.isdigit():
            fields = stat_fields(int(name))
            if fields:
                yield int(name), fields
