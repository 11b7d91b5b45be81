"""FedProx's proximal term in a Trainer (Li et al. 2020): its gradient, added to those of each step before they are clipped."""

from __future__ import annotations

from typing import Any

import torch

from fedstream._errors import BridgeError


class Proximal:
    """`mu × (weights − weights as received)`, for the trained parameters of a model that is not sharded."""

    def __init__(self, trainer: Any, sharded: bool) -> None:
        self._trainer = trainer
        self._sharded = sharded
        self._mu = 0.0
        self._anchor: list[tuple[torch.nn.Parameter, torch.Tensor]] | None = None

    @property
    def is_known(self) -> bool:
        return not self._sharded

    def begin(self, mu: float) -> None:
        """Of a round, before its first step."""
        if mu > 0 and self._sharded:
            raise BridgeError("the proximal term (mu) cannot be followed with a model that FSDP or DeepSpeed shards: use DDP, or another workflow")
        if mu < 0:
            raise BridgeError(f"mu is {mu}; the weight of the proximal term is at least 0")
        self._mu = mu
        self._anchor = None

    @torch.no_grad()
    def pull(self) -> None:
        """Once in a step, after the backward of its first batch: what batches add up is a sum."""
        if self._mu == 0.0:
            return
        if self._anchor is None:
            # The weights are still those that were received, and where the trainer wants them.
            self._anchor = [(own, own.detach().clone()) for own in self._trainer.model.parameters() if own.requires_grad]
        scaler = getattr(self._trainer.accelerator, "scaler", None)
        scale = float(scaler.get_scale()) if scaler is not None else 1.0
        for own, anchor in self._anchor:
            way = own.detach() - anchor
            if own.grad is None:
                own.grad = way * (self._mu * scale)
            else:
                own.grad.add_(way, alpha=self._mu * scale)
