"""The command line: which of the two programs this process is."""

import sys

from drover_nursery.descriptors import close_foreign
from drover_nursery.loop import Become
from drover_nursery.protocol import Claim

__all__ = ["Become", "role_of"]

_USAGE = """usage: __main__.py nursery --socket PATH [--orphan-timeout SECONDS] [--token-prefix TEXT]
       __main__.py zygote --socket PATH [--keep-warm SECONDS] [--preload MODULE,…] [--script PATH] [--hints PATH]
"""


def role_of(arguments):
    """The role to run. Ends with 2 for a wrong command line."""
    name, options = (arguments[0] if arguments else ""), _options(arguments[1:])
    if name == "nursery" and set(options) <= {"socket", "orphan-timeout", "token-prefix"} and "socket" in options:
        return lambda: _nursery(options)
    if name == "zygote" and set(options) <= {"socket", "keep-warm", "preload", "script", "hints", "room", "avoid"} and "socket" in options:
        return lambda: _zygote(options)
    sys.stderr.write(_USAGE)
    raise SystemExit(2)


def _options(arguments):
    options = {}
    for name, value in zip(arguments[::2], arguments[1::2]):
        options[name[2:] if name.startswith("--") else name] = value
    return options if len(arguments) % 2 == 0 else {"": ""}


def _nursery(options):
    from drover_nursery.nursery import Nursery

    close_foreign()
    claim = claimed(options["socket"])
    Nursery(claim, float(options.get("orphan-timeout", 300)), options.get("token-prefix", "")).run()


def _zygote(options):
    from drover_nursery.zygote import Zygote

    close_foreign()
    Zygote(options).run()


def claimed(path):
    """Claims the socket's path and says so on stdout; where another process has it, says that, and ends with 0."""
    try:
        claim = Claim(path)
    except BlockingIOError:
        sys.stdout.write("already-listening\n")
        sys.stdout.flush()
        raise SystemExit(0) from None
    sys.stdout.write("listening\n")
    sys.stdout.flush()
    return claim
