"""
Entry point: `python3 -S -E __main__.py nursery …` (cold) or `python3 -u __main__.py zygote …` (docs/nursery.md).

A forked child leaves its parent's role with `Become` and takes up its own from here, so its stack is as shallow as its
parent's.
"""

import os
import sys

_package = os.path.dirname(os.path.abspath(__file__))
sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder or ".") != _package]
sys.path.insert(0, os.path.dirname(_package))
from drover_nursery.roles import Become, role_of  # noqa: E402

del sys.path[0]


def _main(role):
    while role is not None:
        try:
            return role()
        except Become as become:
            role = become.role


_main(role_of(sys.argv[1:]))
