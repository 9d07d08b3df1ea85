"""Open descriptors that are nobody's: what a process was started with, or a library opened, beyond 0, 1 and 2."""

import os


def close_foreign(kept=()):
    """Closes all above 2 but `kept`. For a process that begins, or is about to execute a program."""
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            try:
                os.close(int(name))
            except OSError:
                pass  # The folder's own descriptor, closed once it was read.
