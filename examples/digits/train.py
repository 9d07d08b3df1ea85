"""
Trains a small network on the handwritten digits that scikit-learn ships (1,797 real images), with DistributedDataParallel.

Which rank sees which images is Drover's Task Manager's to say: each rank leases the next shard of the data set, trains with it and says that it is
done. A checkpoint holds the weights together with what was done of the data, so a run that is killed goes on as if nothing had happened: no image is
left out of an epoch and none is seen twice. Under torchrun, without Drover, the ranks share the images by turns.
"""

import argparse
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "python"))

import drover
import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

DONE, WAIT, SHARD = 0, 1, 2
here = os.path.dirname(os.path.abspath(__file__))

parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
parser.add_argument("--epochs", type=int, default=20)
parser.add_argument("--batch", type=int, default=32, help="images a rank and step")
parser.add_argument("--out", default=os.path.join(here, "out"), help="folder of checkpoint and weights")
parser.add_argument("--save-every", type=int, default=25, help="steps between checkpoints")
parser.add_argument("--step-seconds", type=float, default=0.0, help="pause after each step, to have time to kill something")
args = parser.parse_args()


class Turns:
    """The same shards without Drover: the ranks take them by turns."""

    def __init__(self, size, shard_size, epochs, rank, world):
        shards = [Turn(epoch, range(start, min(start + shard_size, size))) for epoch in range(epochs) for start in range(0, size, shard_size)]
        self._left = shards[rank::world]

    def lease(self, wait_seconds=None):
        return self._left.pop(0) if self._left else None


class Turn:
    def __init__(self, epoch, records):
        self.epoch = epoch
        self.records = lambda: records

    def done(self):
        pass


def shards_of(size):
    try:
        return drover.shards("digits", size=size, shard_size=args.batch, kind="text", epochs=args.epochs, shuffle=True, seed=1)
    except drover.NotUnderDrover:
        return Turns(size, args.batch, args.epochs, dist.get_rank(), dist.get_world_size())


def next_shard(shards):
    """The next shard of this rank, and whether any rank has one: all ranks make the same number of steps."""
    try:
        shard = shards.lease(wait_seconds=0)
        state = DONE if shard is None else SHARD
    except TimeoutError:
        shard, state = None, WAIT
    most = torch.tensor([state])
    dist.all_reduce(most, op=dist.ReduceOp.MAX)
    return shard, int(most.item())


def network():
    convolutions = nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
    return nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(32 * 16, 10))


def main():
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    torch.manual_seed(7)
    images, labels = load_digits(return_X_y=True)
    images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16
    labels = torch.tensor(labels)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(7))
    test, train = order[:360], order[360:]

    model = DistributedDataParallel(network())
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    shards = shards_of(len(train))
    os.makedirs(args.out, exist_ok=True)
    path = os.path.join(args.out, "checkpoint.pt")
    step = 0
    if os.path.exists(path):
        saved = torch.load(path)
        model.module.load_state_dict(saved["model"])
        optimizer.load_state_dict(saved["optimizer"])
        step = saved["step"]
        dist.barrier()
        if rank == 0:
            if saved["data"] is not None and not isinstance(shards, Turns):
                drover.restore_dataset("digits", saved["data"])
            print(f"going on from step {step}", flush=True)
    dist.barrier()

    def save():
        data = None if isinstance(shards, Turns) else drover.dataset_checkpoint("digits")
        torch.save({"model": model.module.state_dict(), "optimizer": optimizer.state_dict(), "step": step, "data": data}, path + ".new")
        os.replace(path + ".new", path)
        drover.checkpoint(step)

    epoch = -1
    while True:
        shard, most = next_shard(shards)  # All ranks are here: what they trained with before is done.
        if most == DONE:
            break
        if most == WAIT:
            time.sleep(0.02)  # Shards of a rank that died are on their way back.
            continue
        if rank == 0 and step % args.save_every == 0:
            save()
        batch = train[torch.tensor(list(shard.records()))] if shard else train[:1]
        loss = cross_entropy(model(images[batch]), labels[batch])
        optimizer.zero_grad()
        (loss if shard else loss * 0).backward()
        optimizer.step()
        step += 1
        if shard:
            shard.done()
            drover.report(step=step, loss=loss.item(), samples=len(batch))
            if rank == 0 and shard.epoch > epoch:
                epoch = shard.epoch
                print(f"epoch {epoch + 1} of {args.epochs}: step {step}, loss {loss.item():.4f}", flush=True)
        time.sleep(args.step_seconds)

    final = os.path.join(args.out, "digits.pt")
    if rank == 0:
        if step == 0:  # All was done before this life of the job.
            model.module.load_state_dict(torch.load(final))
        with torch.no_grad():
            accuracy = (model.module(images[test]).argmax(1) == labels[test]).float().mean().item()
        torch.save(model.module.state_dict(), final)
        if os.path.exists(path):
            os.remove(path)
        print(f"accuracy {accuracy:.4f} on {len(test)} images that were not trained with", flush=True)
        if accuracy <= 0.95:
            sys.exit("the accuracy should be above 0.95")
    dist.barrier()  # Whoever is early waits here: a process group that ends while its last reduction is cleaned up may hang (torch 2.13).
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
