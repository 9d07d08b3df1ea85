"""
What /proc tells others of a forked process: its command line, and one mark in its environment.

Both are written over memory that the process was started with and that nobody reads: the command line's, made long
enough by a last argument of spaces, and a variable that exists for this (`ROOM_NAME`). Where /proc hides the addresses
nothing is written.
"""

import ctypes
import os

from drover_nursery.identity import ROOM_BYTES, ROOM_NAME
from drover_nursery.process_table import stat_fields


def set_command_line(arguments):
    """Cut to the room there is."""
    start, end = _range(45, 46)
    size = end - start
    if size > 1:
        text = b"\0".join(os.fsencode(argument) for argument in arguments)[: size - 1]
        ctypes.memmove(start, text.ljust(size, b"\0"), size)


def mark_environment(entry):
    """Replaces the room's variable by `entry` ("NAME=value") in what /proc/<pid>/environ shows; children inherit it."""
    start, end = _range(47, 48)
    at = ctypes.string_at(start, end - start).find((ROOM_NAME + "=").encode()) if end > start else -1
    if at >= 0:
        size = len(ROOM_NAME) + 1 + ROOM_BYTES
        ctypes.memmove(start + at, os.fsencode(entry)[: size - 1].ljust(size, b"\0"), size)


def _range(first, last):
    fields = stat_fields(os.getpid())
    return int(fields[first]), int(fields[last])
