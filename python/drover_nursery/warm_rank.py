"""
Makes of a forked child what `python -u script.py` would have made: a process that the script cannot tell from a new
one.

What differs all the same is listed in docs/nursery.md, and test/e2e/nursery-sameness.test.ts compares the rest.

1. What a script could see of the interpreter is set anew here: environment, argv, path, streams, seeds, `__main__`,
   clocks.
2. A traceback that a person sees has none of our frames.
3. Only the rank itself writes hints and the error file, not a process that its script forks.
"""

import io
import json
import logging
import os
import random
import runpy
import sys
import tempfile
import threading
import time
import traceback
import types
from importlib.machinery import SourceFileLoader

from drover_nursery import process_title
from drover_nursery.identity import difference
from drover_nursery.preload import write_hints
from drover_nursery.process_table import TOKEN_NAME

_FOLDER = os.path.dirname(os.path.abspath(__file__))


class WarmRanks:
    """Decides whether a rank can be forked from this interpreter, and prepares it."""

    def __init__(self, loaded_with, watched, set_by_modules):
        """
        `loaded_with`: the interpreter's first environment; `watched`: names read, `set_by_modules`: values set while
        modules were loaded.
        """
        self._loaded_with = loaded_with
        self._watched = frozenset(watched)
        self._set_by_modules = set_by_modules

    def why_not(self, spec):
        """None where a fork is as good as a start, else the reason."""
        if not spec.allows_warm:
            return "asked for"
        if spec.kind == "command":
            return "a command is executed"
        if os.path.abspath(spec.python) != os.path.abspath(sys.executable):
            return "the interpreter is %s, not %s" % (spec.python, sys.executable)
        script = os.path.join(spec.cwd, spec.target)
        if spec.kind == "script" and (not os.path.isfile(script) or script.endswith(".pyc")):
            return "%s is not a source file" % spec.target
        changed = difference(self._loaded_with, self._watched, spec.env)
        if changed:
            return changed
        folder = spec.cwd if spec.kind == "module" else os.path.dirname(os.path.realpath(script))
        shadow = None if sys.flags.isolated else _shadowed(folder)
        return "%s has a module %s of its own" % (folder, shadow) if shadow else None

    def role(self, spec):
        """
        In the forked child, its descriptors, signals and folder set already: the rest of the state. Gives the script's
        run.
        """
        _set_environment({**self._set_by_modules, **spec.env})
        _set_streams()
        _set_fresh_state()
        process_title.set_command_line(spec.command())
        process_title.mark_environment("%s=%s" % (TOKEN_NAME, spec.token))
        return _Run(spec)


def _shadowed(folder):
    """A loaded module that the script would find in its own folder instead."""
    try:
        names = os.listdir(folder)
    except OSError:
        return None  # The rank will say it.
    for name in names:
        stem = name[:-3] if name.endswith(".py") else name.partition(".")[0] if name.endswith(".so") else name
        if stem in sys.modules and stem != "__main__" and stem not in sys.builtin_module_names:
            if stem != name or os.path.isfile(os.path.join(folder, name, "__init__.py")):
                return stem
    return None


def _set_environment(env):
    os.environ.clear()
    os.environ.update(env)
    time.tzset()


def _set_streams():
    """As CPython's create_stdio does; handlers of preloaded modules that hold the old streams get the new ones."""
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        old = getattr(sys, name)
        stream = _stream(fd, "r" if fd == 0 else "w", old)
        for reference in logging._handlerList:
            handler = reference()
            if handler is not None and vars(handler).get("stream") is old:
                handler.stream = stream
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)


def _stream(fd, mode, template):
    is_unbuffered = template.write_through
    buffer = io.open(fd, mode + "b", buffering=0 if is_unbuffered and mode == "w" else -1, closefd=False)
    raw = getattr(buffer, "raw", buffer)
    raw.name = ("<stdin>", "<stdout>", "<stderr>")[fd]
    stream = io.TextIOWrapper(
        buffer,
        encoding=template.encoding,
        errors=template.errors,
        newline="\n",
        line_buffering=not is_unbuffered and (raw.isatty() or fd == 2),
        write_through=is_unbuffered,
    )
    stream.mode = mode
    return stream


def _set_fresh_state():
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.default_generator.seed()  # Of the CPU; a new process draws it from the system. CUDA's do not exist yet.
    tempfile.tempdir = None
    tempfile._name_sequence = None
    logging._startTime = time.time_ns() if isinstance(logging._startTime, int) else time.time()
    main_thread = threading.main_thread()
    if hasattr(main_thread, "_set_native_id"):
        main_thread._set_native_id()
    process = sys.modules.get("multiprocessing.process")
    if process is not None:
        process.ORIGINAL_DIR = os.getcwd()
        process._current_process._config["authkey"] = process.AuthenticationString(os.urandom(32))


class _Run:
    """The script's run, from an almost empty stack. A callable so that nothing else of the nursery is kept alive."""

    def __init__(self, spec):
        self._spec = spec
        self._pid = os.getpid()

    def __call__(self):
        spec = self._spec
        for name in [name for name in sys.modules if name.partition(".")[0] == "drover_nursery"]:
            del sys.modules[name]
        before = set(sys.modules)
        try:
            self._execute()
        except SystemExit:
            self._note(before, None)
            raise
        except BaseException as error:  # noqa: BLE001 - the interpreter's own last resort, in its words.
            problem = error.with_traceback(_without_our_frames(error.__traceback__))
        else:
            problem = None
        self._note(before, problem)
        if problem is not None:
            _report(problem)
            del spec
            if isinstance(problem, KeyboardInterrupt):
                sys.excepthook = lambda *_: None  # It is told already; the interpreter ends by SIGINT.
                raise KeyboardInterrupt
            raise SystemExit(1)

    def _execute(self):
        spec = self._spec
        main = types.ModuleType("__main__")
        sys.modules["__main__"] = main
        main.__builtins__ = sys.modules["builtins"]
        if hasattr(sys, "orig_argv"):
            sys.orig_argv = spec.command()
        if spec.kind == "module":
            sys.argv = ["-m", *spec.args]
            _put_first(os.getcwd())
            runpy._run_module_as_main(spec.target)
            return
        sys.argv = [spec.target, *spec.args]
        path = os.path.join(os.getcwd(), spec.target)  # Not normalized, as the interpreter leaves it.
        _put_first(os.path.dirname(os.path.realpath(path)))
        main.__file__ = path
        main.__loader__ = SourceFileLoader("__main__", path)
        if sys.version_info < (3, 15):
            main.__cached__ = None
        if sys.version_info < (3, 14):
            main.__annotations__ = {}
        with io.open_code(path) as file:
            source = file.read()
        exec(compile(source, path, "exec", dont_inherit=True), main.__dict__)

    def _note(self, before, problem):
        """3"""
        if os.getpid() != self._pid:
            return
        if self._spec.hints and self._spec.local_rank == 0:
            try:
                write_hints(self._spec.hints, before)
            except OSError:
                pass  # The next run loads less ahead. The script's output and exit are not ours to disturb.
        path = os.environ.get("TORCHELASTIC_ERROR_FILE")
        if path and isinstance(problem, Exception) and not os.path.exists(path):
            _write_error(path, problem)


def _put_first(folder):
    if not getattr(sys.flags, "safe_path", False):
        sys.path.insert(0, folder)


def _write_error(path, problem):
    """torchelastic's format, as its `record` writes it."""
    stack = "".join(traceback.format_exception(type(problem), problem, problem.__traceback__))
    extra = {"py_callstack": stack, "timestamp": str(int(time.time()))}
    content = {"message": {"message": "%s: %s" % (type(problem).__name__, problem), "extraInfo": extra}}
    try:
        with open(path, "w", encoding="utf-8") as file:
            json.dump(content, file)
    except OSError as error:
        sys.stderr.write("drover: %s: %s\n" % (path, error.strerror))


def _without_our_frames(trace):
    while trace is not None and trace.tb_frame.f_code.co_filename.startswith(_FOLDER + os.sep):  # 2
        trace = trace.tb_next
    return trace


def _report(problem):
    """As PyErr_Print does."""
    sys.last_type, sys.last_value, sys.last_traceback = type(problem), problem, problem.__traceback__
    if sys.version_info >= (3, 12):
        sys.last_exc = problem
    try:
        sys.excepthook(type(problem), problem, problem.__traceback__)
    except BaseException as error:  # noqa: BLE001 - the script's own hook: both tracebacks, as the interpreter prints.
        sys.stderr.write("Error in sys.excepthook:\n")
        trace = _without_our_frames(error.__traceback__)
        sys.__excepthook__(type(error), error.with_traceback(trace), trace)
        sys.stderr.write("\nOriginal exception was:\n")
        sys.__excepthook__(type(problem), problem, problem.__traceback__)
