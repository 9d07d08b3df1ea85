"""The command line: which of the two programs this process is."""

import sys

from drover_nursery.descriptors import close_foreign
from drover_nursery.loop import Become
from drover_nursery.protocol import claimed

__all__ = ["Become", "role_of"]

_USAGE = """usage: __main__.py nursery --socket PATH [--orphan-timeout SECONDS] [--token-prefix TEXT]
       __main__.py zygote --socket PATH [--keep-warm SECONDS] [--preload MODULE,…] [--script PATH] [--hints PATH]
"""

# The last four are what a zygote tells itself when it begins again.
_ZYGOTE_OPTIONS = {"socket", "keep-warm", "preload", "script", "hints", "room", "avoid", "claim"}


def role_of(arguments):
    """The role to run. Ends with 2 for a wrong command line."""
    name, options = (arguments[0] if arguments else ""), _options(arguments[1:])
    if name == "nursery" and set(options) <= {"socket", "orphan-timeout", "token-prefix"} and "socket" in options:
        return lambda: _nursery(options)
    if name == "zygote" and set(options) <= _ZYGOTE_OPTIONS and "socket" in options:
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

    close_foreign([int(fd) for fd in options.get("claim", "").split(",") if fd])
    Zygote(options).run()
