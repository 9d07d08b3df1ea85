"""
Which modules a zygote imports before it forks, and their import.

Wanted is what the script's source (and that of its own modules) imports from site-packages, what a run of it was seen
to import (the hint file), and what the agent names.

1. Only modules that live in site-packages; never the user's own.
2. A module that starts a thread or reads a variable that differs between ranks while it is imported cannot be shared:
   it is `unshareable`: the zygote begins again without it, or, when it is in use, has seen so in a child first.
"""

import ast
import importlib
import importlib.util
import json
import os
import sys
import sysconfig
import threading
import traceback

from drover_nursery.identity import PER_RANK, EnvironmentWatch

FILES_MAX = 256
"""Of the user's source that are looked through for imports."""
HINTS_MAX = 5000

WITH_TORCH = (
    "numpy",
    "torch",
    "torch.distributed",
    "torch.nn.parallel.distributed",
    "torch.optim",
    "torch.utils.data",
    "torch._dynamo",
)
"""What nearly every training loads before its first step; torch._dynamo comes with the first optimizer."""


class Preload:
    """Imports on demand; knows what was read of the environment, and what must not be shared."""

    def __init__(self, avoid):
        self.avoid = frozenset(avoid)
        self.watched = set()
        self.unshareable = []
        self._tried = set()

    def load(self, script=None, hints=None, named=()):
        """Imports what is wanted and not there yet."""
        for name in self._missing(script, hints, named):
            self._import(name)

    def load_more(self, script=None, hints=None, named=()):
        """
        As `load`, for an interpreter that is in use and cannot begin again: a forked child tries each module first.
        """
        names = self._missing(script, hints, named)
        if not names:
            return
        told, tell = os.pipe()
        pid = os.fork()
        if pid == 0:
            self._try_out(names, tell)
        os.close(tell)
        with os.fdopen(told, "rb") as file:
            verdict = file.read().decode()
        os.waitpid(pid, 0)
        self.avoid |= set(json.loads(verdict)) if verdict else set(names)  # No verdict: the import killed the child.
        for name in names:
            if not self._is_avoided(name):
                self._import(name)

    def _try_out(self, names, tell):
        try:
            for name in names:
                self._import(name)
            os.write(tell, json.dumps(self.unshareable).encode())
        finally:
            os._exit(0)

    def _missing(self, script, hints, named):
        found = imports_of(script) if script else []
        wanted = [name for name in (*found, *read_hints(hints)) if is_installed(name)]
        wanted.extend(named)
        if "torch" in {name.partition(".")[0] for name in wanted}:
            wanted = [*WITH_TORCH, *wanted]
        wanted = [name for name in dict.fromkeys(wanted) if name not in sys.modules and name not in self._tried]
        return [name for name in wanted if not self._is_avoided(name)]

    def _is_avoided(self, name):
        parts = name.split(".")
        return any(".".join(parts[:count]) in self.avoid for count in range(1, len(parts) + 1))

    def _import(self, name):
        self._tried.add(name)
        threads = threading.active_count()
        with EnvironmentWatch() as watch:
            try:
                importlib.import_module(name)
            except (Exception, SystemExit):  # noqa: BLE001 - a rank that imports it will see the same, and say so.
                sys.stderr.write("preload: %s cannot be imported: %s" % (name, traceback.format_exc(limit=0)))
        if threading.active_count() > threads or watch.names & PER_RANK:  # 2
            self.unshareable.append(name)
        self.watched |= watch.names - PER_RANK


def site_folders():
    return {os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("purelib", "platlib")}


def is_installed(name):
    """Whether the module's top package lives in site-packages (1)."""
    try:
        spec = importlib.util.find_spec(name.partition(".")[0])
    except (ImportError, ValueError):
        return False
    return spec is not None and bool(spec.origin) and os.path.realpath(spec.origin).startswith(tuple(site_folders()))


def imports_of(script):
    """
    Modules that the script, and the modules beside it that it imports, name in import statements; in order of
    appearance.
    """
    folder = os.path.dirname(os.path.realpath(script))
    found, files, at = {}, [script], 0
    while at < len(files) and at < FILES_MAX:
        for name in _imports_in(files[at]):
            own = _own_file(folder, name)
            if own is None:
                found[name] = True
            elif own not in files:
                files.append(own)
        at += 1
    return list(found)


def _imports_in(path):
    try:
        with open(path, "rb") as file:
            tree = ast.parse(file.read(), path)
    except (OSError, SyntaxError, ValueError):
        return []  # The rank will say it, with its own words.
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
    return names


def _own_file(folder, name):
    base = os.path.join(folder, *name.split("."))
    for path in (base + ".py", os.path.join(base, "__init__.py")):
        if os.path.isfile(path):
            return path
    return None


def read_hints(path):
    try:
        with open(path, encoding="utf-8") as file:
            names = json.load(file)["modules"]
    except (OSError, TypeError, KeyError, ValueError):
        return []  # No hints yet, or spoilt ones: the next run writes them again.
    return [name for name in names if isinstance(name, str)][:HINTS_MAX]


def write_hints(path, before):
    """Adds the installed modules that were imported since `before` (a set of names) to the hint file."""
    known = read_hints(path)
    folders = tuple(site_folders())
    fresh = [
        name
        for name, module in list(sys.modules.items())
        if name not in before and os.path.realpath(getattr(module, "__file__", None) or "/").startswith(folders)
    ]
    if set(fresh) <= set(known):
        return
    temporary = "%s.%d" % (path, os.getpid())
    with open(temporary, "w", encoding="utf-8") as file:
        json.dump({"modules": list(dict.fromkeys([*known, *fresh]))[:HINTS_MAX]}, file)
    os.replace(temporary, path)
