"""
A data set's shards, as this rank gets them.

1. A shard is done once: when the script says so, or when it asks for the next.
2. A shard that was not said to be done when the rank ends, however it ends, is given to another rank.
"""

import time

from drover.errors import DroverError

_WAIT_SECONDS = 20.0
"""How long the master may hold a request for a shard, while other ranks hold the last ones."""

_PAUSE_SECONDS = 0.05
"""Between two such requests: a master that is too busy to hold one answers it at once."""


class Shard:
    """
    Records `start` ≤ i < `end` of data set `name` in epoch `epoch`; `indices` names them in their order, for a text.
    """

    def __init__(self, client, name, task):
        shard = task["shard"]
        self.name = name
        self.task_id = task["taskId"]
        self.epoch = task["epoch"]
        self.start = shard["start"]
        self.end = shard["end"]
        self.indices = shard.get("indices")
        self.is_finished = False
        self._client = client

    def __len__(self):
        return self.end - self.start if self.indices is None else len(self.indices)

    def __repr__(self):
        return "Shard(%r, epoch=%d, start=%d, end=%d)" % (self.name, self.epoch, self.start, self.end)

    def records(self):
        """The record numbers, in their order."""
        return range(self.start, self.end) if self.indices is None else self.indices

    def done(self):
        """Its records are trained with. Once more does nothing."""
        self._finish(True, "")

    def failed(self, why=""):
        """Gives it back: another rank, or this one, gets it again."""
        self._finish(False, why)

    def _finish(self, is_ok, message):
        if self.is_finished:  # 1
            return
        body = {"worker": self._client.worker, "ok": is_ok, "message": str(message)[:16000]}
        try:
            self._client.request("POST", "/datasets/%s/tasks/%d" % (self.name, self.task_id), body)
        except DroverError as error:
            if error.code not in ("NOT_THE_HOLDER", "UNKNOWN_TASK"):
                raise
            # It took too long and was given to another rank, whose word counts.
        self.is_finished = True


class Shards:
    """An iterator over shards; `lease` is one step of it, for those who decide themselves when a shard is done."""

    def __init__(self, client, name, size, shard_size, kind, epochs, shuffle, seed, timeout_seconds):
        self._client = client
        self.name = name
        self._current = None
        description = {
            "name": name,
            "kind": kind,
            "size": size,
            "shardSize": shard_size,
            "epochs": epochs,
            "shuffle": shuffle,
            "seed": seed,
            "timeoutMs": round(timeout_seconds * 1000),
        }
        client.request("POST", "/datasets", description)

    def __iter__(self):
        return self

    def __next__(self):
        if self._current is not None:
            self._current.done()
        self._current = self.lease()
        if self._current is None:
            raise StopIteration
        return self._current

    def lease(self, wait_seconds=None):
        """
        The next shard, or None when the data set is done. Waits while other ranks hold the last shards, for theirs may
        come back.

        With `wait_seconds` it waits no longer than that, and raises TimeoutError: whoever still holds shards must not
        wait for them.
        """
        wait = _WAIT_SECONDS if wait_seconds is None else min(wait_seconds, _WAIT_SECONDS)
        body = {"worker": self._client.worker, "node": self._client.node, "waitMs": round(wait * 1000)}
        while True:
            answer = self._client.request("POST", "/datasets/%s/lease" % self.name, body, wait)
            if answer["status"] == "shard":
                return Shard(self._client, self.name, answer["task"])
            if answer["status"] == "done":
                return None
            if wait_seconds is not None:
                raise TimeoutError("no shard of %s is free" % self.name)
            time.sleep(_PAUSE_SECONDS)
