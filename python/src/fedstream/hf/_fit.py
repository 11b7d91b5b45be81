"""Whether a model that was received is the one that the trainer has: names, shapes, dtypes, and afterwards the values."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from fedstream._errors import BridgeError, listed, refuse_misfit
from fedstream._model import Gathered
from fedstream.hf._parts import is_dtensor

_CHECKED_ELEMENTS = 1 << 22


def check_fit(own: Mapping[str, torch.Tensor | Gathered], received: Mapping[str, torch.Tensor], what: str) -> None:
    """Raises before anything is loaded; names the first few that do not fit."""
    extra = sorted(name for name in received if name not in own)
    given = {place_of(own[name]) for name in received if name in own}
    missing = sorted(name for name, tensor in own.items() if name not in received and place_of(tensor) not in given)
    both = sorted(name for name in received if name in own)
    shapes = [f"{name} ({_shape(received[name])}; here {_shape(own[name])})" for name in both if received[name].shape != own[name].shape]
    dtypes = [f"{name} ({_dtype(received[name])}; here {_dtype(own[name])})" for name in both if not _alike(received[name], own[name])]
    faults = ((extra, "it has no"), (missing, "it received no"), (shapes, "it has another shape of"), (dtypes, "it has another dtype of"))
    refuse_misfit(what, faults)


def check_loaded(own: Mapping[str, torch.Tensor], received: Mapping[str, torch.Tensor], what: str) -> None:
    """Raises where the model does not have, bit for bit, what was loaded into it."""
    wrong = sorted(name for name, tensor in received.items() if name not in own or not same_bits(own[name], tensor))
    if wrong:
        raise BridgeError(
            f"{what} was received, and is not what the model has after loading it: {listed(wrong)}. What this model hands out are copies, so it "
            "cannot be federated as it is"
        )


def place_of(tensor: torch.Tensor | Gathered) -> tuple[object, ...]:
    """Tied tensors are the same bytes: one name of them is enough."""
    if not isinstance(tensor, torch.Tensor) or is_elsewhere(tensor):
        return (id(tensor),)
    return (str(tensor.device), tensor.data_ptr(), tuple(tensor.shape)) if tensor.numel() else (id(tensor),)


def is_elsewhere(tensor: torch.Tensor) -> bool:
    """Whether it has no bytes of its own on this rank: it is not loaded, or in parts on several (ZeRO-3, a DTensor)."""
    return tensor.is_meta or hasattr(tensor, "ds_id") or is_dtensor(tensor)


def _alike(received: torch.Tensor, own: torch.Tensor | Gathered) -> bool:
    """Any float dtype fits another: each side has its own precision."""
    return received.dtype == own.dtype or (received.dtype.is_floating_point and bool(own.dtype.is_floating_point))


def same_bits(own: torch.Tensor, received: torch.Tensor) -> bool:
    """Whether the values are those that were received, in the dtype of the model's own."""
    if own.shape != received.shape:
        return False
    mine, theirs = own.detach().reshape(-1), received.reshape(-1)
    for begin in range(0, mine.numel(), _CHECKED_ELEMENTS):
        piece = theirs[begin : begin + _CHECKED_ELEMENTS].to(mine.device, mine.dtype)
        # As bytes: NaN is not equal to itself.
        if not torch.equal(mine[begin : begin + _CHECKED_ELEMENTS].view(torch.uint8), piece.view(torch.uint8)):
            return False
    return True


def _shape(tensor: torch.Tensor | Gathered) -> str:
    return str(list(tensor.shape))


def _dtype(tensor: torch.Tensor | Gathered) -> str:
    return str(tensor.dtype).removeprefix("torch.")
