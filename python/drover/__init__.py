"""
What a training script can say to Drover and ask of it. Standard library only; nothing here is needed to be run by
Drover.

    import drover

    for shard in drover.shards("digits", size=1797, shard_size=64, epochs=3, shuffle=True):
        for index in shard.records():
            ...
        drover.report(step=step, loss=loss, samples=len(shard))

A module-level function uses one client made from the environment that Drover gives to a rank (DROVER_MASTER_ADDR,
DROVER_TOKEN or DROVER_TOKEN_FILE, DROVER_NODE_ID, RANK, DROVER_INCARNATION); `init` makes another.
"""

from drover.client import Client
from drover.errors import DroverError, NotUnderDrover
from drover.progress import checkpoint, report
from drover.shards import Shard, Shards

__all__ = [
    "Client",
    "DroverError",
    "NotUnderDrover",
    "Shard",
    "Shards",
    "checkpoint",
    "dataset_checkpoint",
    "init",
    "job",
    "report",
    "restore_dataset",
    "shards",
]

_client = None


def init(address=None, token=None, worker=None, node=None, patience_seconds=300.0):
    """
    Says whom to talk to; what is left out comes from the environment. Without a call the first use does it.

    `worker` names who holds a shard: `<node>/<rank>/<incarnation>`. `patience_seconds` is how long a request is tried
    again while the master cannot be reached. Raises NotUnderDrover where no address is to be had.
    """
    global _client
    _client = Client(address, token, worker, node, patience_seconds)
    return _client


def _here():
    return _client or init()


def shards(name, size, shard_size, kind="table", epochs=1, shuffle=False, seed=0, timeout_seconds=1800.0):
    """
    The shards of a data set that this rank gets, one after another, until the data set is done; all ranks share it.

    Registers the data set (every rank does, with the same description). Asking for the next shard says that the one
    before is done; `shard.done()` says it earlier, `shard.failed(why)` gives it back. A shard of a rank that died is
    given to another.

    `kind`: "table" (ranges), "text" (indices, shuffled within a shard too) or "stream". `timeout_seconds`: a shard that
    is not done by then is given to another; 0 turns it off.
    """
    return Shards(_here(), name, size, shard_size, kind, epochs, shuffle, seed, timeout_seconds)


def dataset_checkpoint(name):
    """What is done of a data set, as text to be saved with a checkpoint of the model."""
    return _here().request("GET", "/datasets/%s/checkpoint" % name)["content"]


def restore_dataset(name, content):
    """Takes a registered data set back to what `dataset_checkpoint` gave. One rank does it, before any leases."""
    _here().request("PUT", "/datasets/%s/checkpoint" % name, {"content": content})


def job():
    """The job as `GET /api/v1/job` tells it: a dict."""
    return _here().request("GET", "/job")
