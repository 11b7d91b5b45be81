"""Travelling tensors of a model that lies in parts on several ranks: each can be made whole, and be filled, alone.

Every method is called on every rank, in the same order of tensors; rank 0 has what was received and writes what is sent. At most one tensor (of
FSDP1: one of its units) is whole at a time, on any rank.
"""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import Any

import torch

from fedstream.hf._ranks import Ranks


class Part(ABC):
    """One tensor. `fedstream._files.write` takes it as it takes a tensor, and asks for its values once it writes them."""

    shape: tuple[int, ...]
    dtype: torch.dtype

    @property
    def nbytes(self) -> int:
        return int(torch.Size(self.shape).numel()) * self.dtype.itemsize

    @abstractmethod
    def whole(self) -> torch.Tensor | None:
        """All its values, at least on rank 0; the caller lets go of them before it asks for those of the next."""

    @abstractmethod
    def fill(self, value: torch.Tensor | None) -> None:
        """Takes the values that rank 0 gives."""


class Replica(Part):
    """A tensor that every rank has: a buffer, a parameter that nothing shards."""

    def __init__(self, tensor: torch.Tensor, ranks: Ranks) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype
        self._tensor = tensor
        self._ranks = ranks

    def whole(self) -> torch.Tensor:
        return self._tensor.detach()

    def fill(self, value: torch.Tensor | None) -> None:
        own = self._tensor.detach()
        if own.is_meta:
            # A rank that has not loaded the model takes part, and keeps nothing.
            self._ranks.hand_out(value, self.shape, self.dtype)
        else:
            own.copy_(self._ranks.hand_out(value, self.shape, self.dtype))


class Sharded(Part):
    """A DTensor: a parameter of FSDP2 or of tensor parallelism."""

    def __init__(self, tensor: Any, ranks: Ranks) -> None:
        self.shape, self.dtype = tuple(tensor.shape), tensor.dtype
        self._tensor = tensor
        self._ranks = ranks

    def whole(self) -> torch.Tensor:
        own = self._tensor.detach()
        # With FSDP's offloading the shards are the host's, and the ranks talk by their accelerators.
        found: torch.Tensor = own.to(own.device_mesh.device_type).full_tensor()
        return found

    def fill(self, value: torch.Tensor | None) -> None:
        from torch.distributed.tensor import distribute_tensor

        own = self._tensor.detach()
        whole = self._ranks.hand_out(value, self.shape, self.dtype).to(own.device_mesh.device_type)
        spread = distribute_tensor(whole, own.device_mesh, own.placements)
        own.to_local().copy_(spread.to_local())


def part_of(tensor: torch.Tensor, ranks: Ranks) -> Part:
    """The kind that fits how the tensor lies, but for FSDP1, whose parameters are parts of its units."""
    if is_zero(tensor):
        from fedstream.hf._zero import ZeroPart

        return ZeroPart(tensor, ranks)
    if is_dtensor(tensor):
        return Sharded(tensor, ranks)
    return Replica(tensor, ranks)


def is_dtensor(tensor: object) -> bool:
    known: Any = sys.modules.get("torch.distributed.tensor")
    return known is not None and isinstance(tensor, known.DTensor)


def is_zero(tensor: object) -> bool:
    """Whether DeepSpeed has a hand in it: partitioned by ZeRO-3, or with a float32 master that the ranks share."""
    return hasattr(tensor, "ds_id") or hasattr(tensor, "_hp_mapping")
