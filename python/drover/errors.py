"""What can go wrong between a script and Drover."""


class DroverError(Exception):
    """
    A request that the master refused, or that could not reach it. `code` is one of docs/errors.md, or UNREACHABLE.
    """

    def __init__(self, code, message, hint=None):
        super().__init__("%s: %s%s" % (code, message, " " + hint if hint else ""))
        self.code = code
        self.hint = hint


class NotUnderDrover(DroverError):
    """There is no master: the script was not started by Drover."""

    def __init__(self):
        hint = "Start the script with `drover run`, or call drover.init."
        super().__init__("NOT_UNDER_DROVER", "DROVER_MASTER_ADDR is not set.", hint)
