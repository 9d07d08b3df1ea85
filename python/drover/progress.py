"""
Progress of this rank, appended to the file that Drover reads (DROVER_PROGRESS_FILE). A call costs a few microseconds.

The file begins anew when it is longer than `FILE_BYTES_MAX`: it is news, not a record.
"""

import json
import math
import os
import sys
import time

FILE_BYTES_MAX = 1024 * 1024

_file = None
"""(descriptor, bytes written); descriptor is -1 where there is nobody to tell."""


def report(step=None, loss=None, samples=None):
    """The step that was just made, its loss, and how many samples it took. Whatever is left out is not said."""
    parts = []
    if step is not None:
        parts.append('"step":%d' % step)
    if loss is not None:
        loss = float(loss)
        parts.append('"loss":%s' % (repr(loss) if math.isfinite(loss) else json.dumps(loss)))
    if samples is not None:
        parts.append('"samples":%d' % samples)
    _append(parts)


def checkpoint(step):
    """A checkpoint of the model as of this step is safe on disk."""
    _append(['"checkpoint":%d' % step])


def _append(parts):
    global _file
    descriptor, written = _file or _opened()
    if descriptor < 0:
        return
    line = ("{%s}\n" % ",".join([*parts, '"t":%.3f' % time.time()])).encode()
    if written + len(line) > FILE_BYTES_MAX:
        os.ftruncate(descriptor, 0)
        written = 0
    os.write(descriptor, line)
    _file = (descriptor, written + len(line))


def _opened():
    global _file
    path = os.environ.get("DROVER_PROGRESS_FILE")
    if path:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        _file = (descriptor, os.fstat(descriptor).st_size)
    else:
        sys.stderr.write("drover: not started by Drover; progress is reported to nobody\n")
        _file = (-1, 0)
    return _file
