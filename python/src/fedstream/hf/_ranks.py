"""Several processes of one program: rank 0 talks to the site, and what it hears reaches the others."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist

# Waiting for the slowest site of a federation is no sign of a fault: this group may wait as long as a run takes.
_PATIENCE = datetime.timedelta(days=365)


class Ranks:
    """The processes of `torchrun` or `accelerate launch`; one process alone is rank 0 of one."""

    def __init__(self, device: torch.device | None = None) -> None:
        """`device` is that of the tensors which the ranks exchange."""
        self._device = device or torch.device("cpu")
        self.count = dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1
        self.rank = dist.get_rank() if self.count > 1 else 0
        self._group = _group_for_words() if self.count > 1 else None

    @property
    def talks(self) -> bool:
        return self.rank == 0

    def tell(self, words: Any) -> Any:
        """What rank 0 has, on every rank."""
        if self.count == 1:
            return words
        box = [words if self.talks else None]
        dist.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def share(self, tensors: Iterable[torch.Tensor]) -> None:
        """The tensors of rank 0, in the place of those of every other rank."""
        if self.count == 1:
            return
        for tensor in tensors:
            whole = tensor.detach().contiguous()
            dist.broadcast(whole, src=0)
            if whole.data_ptr() != tensor.data_ptr():
                tensor.detach().copy_(whole)

    def hand_out(self, value: torch.Tensor | None, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A tensor that rank 0 has, on every rank, in that dtype."""
        whole = torch.empty(shape, dtype=dtype, device=self._device) if value is None else value.to(self._device, dtype).contiguous()
        if self.count > 1 and whole.numel() > 0:
            # As bytes: not every dtype is known to every backend.
            dist.broadcast(whole.reshape(-1).view(torch.uint8), src=0)
        return whole

    def mean(self, value: torch.Tensor) -> float:
        """The mean over all ranks."""
        if self.count == 1:
            return float(value)
        total = value.detach().clone()
        dist.all_reduce(total)
        return float(total) / self.count


def _group_for_words() -> dist.ProcessGroup:
    """All ranks, over gloo whatever moves the tensors: it waits on the host."""
    group = dist.new_group(backend="gloo", timeout=_PATIENCE)
    # torch's types allow for a process that is left out of a group; one of all ranks leaves none out.
    assert isinstance(group, dist.ProcessGroup)
    return group
