"""
Which environment variables a warm interpreter and its ranks must agree on.

1. Those that C code reads when the interpreter or torch loads are listed in identity.json, which the agent reads too.
2. Those that Python code reads while modules are preloaded are watched (`EnvironmentWatch`), and compared as well.
"""

import json
import os

with open(os.path.join(os.path.dirname(__file__), "identity.json"), encoding="utf-8") as _file:
    _LISTS = json.load(_file)

PER_RANK = frozenset(_LISTS["perRank"])
ROOM_NAME = _LISTS["room"]["name"]
ROOM_BYTES = _LISTS["room"]["bytes"]
"""A variable that exists to be written over, and its length (process_title.py). The agent starts a zygote with it."""


def is_listed(name):
    return name not in _LISTS["except"] and (name in _LISTS["names"] or name.startswith(tuple(_LISTS["prefixes"])))  # 1


def difference(loaded_with, watched, wanted):
    """The first variable on which the two environments disagree, as a sentence; None where they agree."""
    names = {name for name in (*loaded_with, *wanted) if is_listed(name)} | set(watched)
    for name in sorted(names):
        if loaded_with.get(name) != wanted.get(name):
            return "%s is %r and was %r when modules were loaded" % (name, wanted.get(name), loaded_with.get(name))
    return None


class EnvironmentWatch:
    """Notes which variables are looked up in os.environ while it is entered (2)."""

    def __init__(self):
        self.names = set()

    def __enter__(self):
        names = self.names
        plain = type(os.environ)

        class Watched(plain):
            def __getitem__(self, key):
                names.add(key)
                return plain.__getitem__(self, key)

            def __contains__(self, key):
                names.add(key)
                return plain.__contains__(self, key)

        self._plain = plain
        os.environ.__class__ = Watched
        return self

    def __exit__(self, *_):
        os.environ.__class__ = self._plain
