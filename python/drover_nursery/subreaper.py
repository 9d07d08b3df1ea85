"""
Linux process attributes that Python's standard library does not reach: child subreaper and the signal of a parent's
death.
"""

import ctypes
import os
import signal

_libc = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def become_subreaper():
    """Orphans among our descendants become our children, not PID 1's."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with(parent_pid):
    """
    SIGKILL for this process when its parent's thread ends. A parent that ended before the call is noticed by its pid.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        os._exit(1)


def _prctl(option, value):
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
