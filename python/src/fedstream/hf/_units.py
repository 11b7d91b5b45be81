"""Parameters under FSDP1: it flattens those of a unit into one, so a unit is whole at a time, and stays so until a tensor of another is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from fedstream.hf._parts import Part
from fedstream.hf._ranks import Ranks

_WRAPPERS = ("_fsdp_wrapped_module.", "_checkpoint_wrapped_module.", "_orig_mod.")


class Units:
    """The units of a model, of which one at most is open."""

    def __init__(self, model: Any, ranks: Ranks) -> None:
        from torch.distributed.fsdp import FullyShardedDataParallel

        self.ranks = ranks
        self._modules = {plain(f"{name}."): module for name, module in model.named_modules() if isinstance(module, FullyShardedDataParallel)}
        self._open = contextlib.ExitStack()
        self._opened: tuple[str, bool] | None = None
        self._tensors: dict[str, torch.Tensor] = {}

    def unit_of(self, name: str) -> str:
        """The innermost unit around a parameter."""
        return max((prefix for prefix in self._modules if name.startswith(prefix)), key=len)

    def dtype_of(self, name: str) -> torch.dtype:
        """All parameters of a unit have one."""
        parameter: torch.Tensor = next(self._modules[self.unit_of(name)].parameters())
        return parameter.dtype

    def tensor(self, name: str, writing: bool) -> torch.Tensor | None:
        """Whole; when reading, on rank 0 alone. On every rank."""
        from torch.distributed.fsdp import FullyShardedDataParallel

        unit = self.unit_of(name)
        if self._opened != (unit, writing):
            self.close()
            module = self._modules[unit]
            whole = FullyShardedDataParallel.summon_full_params(module, recurse=False, writeback=writing, rank0_only=not writing)
            self._open.enter_context(whole)
            self._opened = (unit, writing)
            if writing or self.ranks.talks:
                self._tensors = {plain(f"{unit}{own}"): tensor for own, tensor in module.named_parameters(remove_duplicate=False)}
        found = self._tensors.get(name)
        return None if found is None else found.detach()

    def close(self) -> None:
        self._tensors = {}
        self._opened = None
        self._open.close()

    @contextlib.contextmanager
    def closed_at_end(self) -> Iterator[None]:
        try:
            yield
        finally:
            self.close()


class UnitPart(Part):
    """One parameter of a unit. `shape` is that of the model before it was sharded."""

    def __init__(self, units: Units, name: str, shape: tuple[int, ...]) -> None:
        self.shape, self.dtype = shape, units.dtype_of(name)
        self._units = units
        self._name = name

    def whole(self) -> torch.Tensor | None:
        own = self._units.tensor(self._name, writing=False)
        # NumPy, which writes it, pins the memory of a tensor of the host, and FSDP could not let go of the unit.
        return own.clone() if own is not None and own.device.type == "cpu" else own

    def fill(self, value: torch.Tensor | None) -> None:
        own = self._units.tensor(self._name, writing=True)
        whole = self._units.ranks.hand_out(value, self.shape, self.dtype)
        assert own is not None
        own.copy_(whole)


def has_units(model: Any) -> bool:
    """Whether anything of the model is wrapped by FSDP1."""
    if not torch.distributed.is_available():
        return False
    from torch.distributed.fsdp import FullyShardedDataParallel

    return any(isinstance(module, FullyShardedDataParallel) for module in model.modules())


def plain(name: str) -> str:
    """The name that a tensor had before its module was wrapped."""
    for wrapper in _WRAPPERS:
        name = name.replace(wrapper, "")
    return name.lstrip(".")
