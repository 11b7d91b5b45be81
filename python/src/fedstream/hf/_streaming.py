"""A training whose model is exchanged in parts: what is sent after which step, and merged before which (docs/spec/streaming.md)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fedstream._errors import BridgeError


@dataclass
class PartEvents:
    """What is done with the tensors of these names when a segment ends, and when its part is merged; on every rank."""

    send: Callable[[int, list[str]], None]
    merge: Callable[[int, list[str]], None]


class Parts:
    """The steps of one task with parts, from the segments that are done to the end of the run."""

    def __init__(self, plan: Mapping[str, Any], steps: int, rounds: int, events: PartEvents) -> None:
        """`steps` are those of a round. Raises where a round has too few for its segments or for the overlap."""
        self._of = int(plan["of"])
        self._overlap = int(plan["overlap"])
        self._names: list[list[str]] = [list(names) for names in plan["names"]]
        self._steps = steps
        self._events = events
        least = steps // self._of
        if least < 1 or self._overlap > least:
            raise BridgeError(f"a round of {steps} steps cannot have {self._of} parts with an overlap of {self._overlap}: its shortest segment has {least}")
        self._segment = int(plan["done"]) + 1
        """The one that is trained."""
        self._last = rounds * self._of
        self.first_step = self._end_of(self._segment - 1)
        """The steps of the run that are done before this task."""
        self._step = self.first_step
        self._sent: int | None = None

    @property
    def are_over(self) -> bool:
        return self._segment > self._last

    def step_begins(self) -> bool:
        """Whether a round begins with the step, other than the first one of the task."""
        if self._sent is not None and self._step == self._end_of(self._segment - 1) + self._overlap:
            self._merge(self._sent)
        return self._step > self.first_step and self._step % self._steps == 0

    def step_ended(self) -> None:
        self._step += 1
        if self._step < self._end_of(self._segment):
            return
        if self._sent is not None:
            # An overlap as long as the segment ends with it.
            self._merge(self._sent)
        self._events.send(self._segment, self._part_of(self._segment))
        self._sent = self._segment
        self._segment += 1

    def _merge(self, segment: int) -> None:
        self._events.merge(segment, self._part_of(segment))
        self._sent = None

    def _part_of(self, segment: int) -> list[str]:
        return self._names[(segment - 1) % self._of]

    def _end_of(self, segment: int) -> int:
        """The last step of a segment; 0 for segment 0."""
        if segment == 0:
            return 0
        rounds, part = divmod(segment - 1, self._of)
        return rounds * self._steps + (part + 1) * self._steps // self._of


@torch.no_grad()
def mix(own: Mapping[str, torch.Tensor], given: Mapping[str, torch.Tensor], alpha: float) -> None:
    """`alpha` of a site's own values and the rest of the given ones, in place; what is no float is taken as it is given."""
    for name, tensor in given.items():
        if alpha > 0 and own[name].is_floating_point():
            own[name].mul_(alpha).add_(tensor.to(own[name].device, own[name].dtype), alpha=1 - alpha)
        else:
            own[name].copy_(tensor)
