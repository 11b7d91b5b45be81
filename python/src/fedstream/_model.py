"""What is handed over: a model with its place in the job, and the figures of an evaluation."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Literal, Protocol, TypeAlias, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from fedstream._errors import BridgeError, listed

if TYPE_CHECKING:
    import torch

    Tensor: TypeAlias = torch.Tensor
else:
    # torch is loaded only where it is used.
    Tensor = Any

Array: TypeAlias = NDArray[Any]
T = TypeVar("T")


@dataclass
class Model(Generic[T]):
    """The model of a task."""

    params: dict[str, T]
    kind: Literal["train", "evaluate"]
    current_round: int
    """From 1."""
    total_rounds: int
    extras: Mapping[str, Mapping[str, T]] = field(default_factory=dict)
    """State dicts that came with the task, by name; each is mapped from its file once it is asked for."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Numbers that came with the task, by name."""

    def proximal(self, module: torch.nn.Module) -> Tensor | float:
        """FedProx's term of the loss, `mu / 2 × ‖weights − received‖²`, where the task has `mu`; else 0.0. For models of `receive("torch")`.

        Over the parameters of `module` that are trained, by their names in its state dict. Raises where the model has one that was not received.
        """
        mu = self.figures.get("mu", 0.0)
        if mu == 0.0:
            return 0.0
        trained = {name: own for name, own in module.named_parameters() if own.requires_grad}
        strange = sorted(name for name in trained if name not in self.params)
        if strange:
            raise BridgeError(f"{listed(strange)} of the module were not received under these names, so the proximal term cannot hold them")
        received: Mapping[str, Any] = self.params
        way: Tensor | float = sum(((own - received[name].to(own)).square().sum() for name, own in trained.items()), start=0.0)
        return way * (mu / 2)


class Extras(Mapping[str, Mapping[str, T]]):
    """State dicts by name, each opened with `read` once it is asked for, and kept."""

    def __init__(self, paths: Mapping[str, str], read: Callable[[str], Mapping[str, T]]) -> None:
        self._paths = dict(paths)
        self._open = read
        self._opened: dict[str, Mapping[str, T]] = {}

    def __getitem__(self, name: str) -> Mapping[str, T]:
        if name not in self._opened:
            self._opened[name] = self._open(self._paths[name])
        return self._opened[name]

    def __contains__(self, name: object) -> bool:
        return name in self._paths

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)

    def read(self) -> list[str]:
        """The names of those that were asked for."""
        return list(self._opened)

    def __repr__(self) -> str:
        return f"Extras({', '.join(self._paths)})"


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on the program's own held-out data."""

    loss: float
    """In nats a target token."""
    samples: int
    exact_match: float | None = None
    """Share of the samples whose whole answer is right, 0 to 1, where it is known."""


@runtime_checkable
class Gathered(Protocol):
    """A tensor that lies in parts somewhere, and is put together once it is written."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    @property
    def nbytes(self) -> int: ...
    def whole(self) -> Tensor | None: ...


def is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)
