"""What is handed over: a model with its place in the job, and the figures of an evaluation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

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


@dataclass(frozen=True)
class Evaluation:
    """Figures of a model on the program's own held-out data."""

    loss: float
    """In nats a target token."""
    samples: int
    exact_match: float | None = None
    """Share of the samples whose whole answer is right, 0 to 1, where it is known."""

    def message(self) -> dict[str, float | int]:
        figures: dict[str, float | int] = {"loss": float(self.loss), "samples": int(self.samples)}
        if self.exact_match is not None:
            figures["exactMatch"] = float(self.exact_match)
        return figures


def is_array(value: object) -> bool:
    return isinstance(value, np.ndarray)
