"""
A sampler for torch's DataLoader that draws its indices from Drover's shards.

    sampler = ShardSampler(drover.shards("digits", size=len(data), shard_size=64, epochs=3), batch_size=32)
    loader = DataLoader(data, batch_size=32, sampler=sampler)
    while sampler.has_more():
        for batch in loader:
            ...

1. A loader draws indices before their batch is trained with. A shard is said to be done only when so many more indices
   were drawn that its last batch has been trained with, or when the pass over the loader is over.
"""

from torch.utils.data import Sampler


class ShardSampler(Sampler):
    """
    `batch_size`, `num_workers` and `prefetch_factor` are the loader's: they say how far it reads ahead.

    One iteration is a pass over the shards that are free at the time; `has_more` says whether there will be another.
    """

    def __init__(self, shards, batch_size=1, num_workers=0, prefetch_factor=2):
        self._shards = shards
        self._ahead = batch_size * (1 + num_workers * prefetch_factor)
        self._held = []
        self._drawn = 0
        self._next = None

    def has_more(self):
        """
        Says that all that was drawn is trained with, then waits for another shard; False when the data set is done.
        """
        self._finish(float("inf"))
        if self._next is None:
            self._next = self._shards.lease()
        return self._next is not None

    def __iter__(self):
        shard, self._next = self._next, None
        if shard is None and self.has_more():
            shard, self._next = self._next, None
        while shard is not None:
            for index in shard.records():
                self._drawn += 1
                self._finish(self._drawn)
                yield index
            self._held.append((self._drawn, shard))
            try:
                shard = self._shards.lease(wait_seconds=0)
            except TimeoutError:
                return  # What is not given out is held by ranks that train, this one among them.

    def _finish(self, drawn):
        """1"""
        while self._held and self._held[0][0] + self._ahead < drawn:
            self._held.pop(0)[1].done()
