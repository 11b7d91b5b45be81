"""SCAFFOLD's control variates in a bare PyTorch loop (Karimireddy et al. 2020; docs/trainer.md of FedStream)."""

from __future__ import annotations

import os
import pathlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from fedstream import _files
from fedstream._errors import BridgeError, listed
from fedstream._model import Model

if TYPE_CHECKING:
    import torch

CONTROL = "control"
_FILE = re.compile(r"control-(\d+)\.safetensors")


class Controls:
    """What a round adds to the gradients, and what it sends back; nothing of both where the task has no `control`.

    Call `correct()` between `loss.backward()` and the clipping or the optimizer's step, and send `extras=controls.changes()`.
    """

    def __init__(self, received: Model[Any], module: torch.nn.Module, folder: str) -> None:
        """`folder` is the program's own (`work_folder()`): the site's control variate lives there from round to round."""
        self._round = received.current_round
        self._folder = pathlib.Path(folder)
        self._server: Mapping[str, torch.Tensor] = received.extras[CONTROL] if CONTROL in received.extras else {}
        self._parameters = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        self._steps = 0
        if not self._server:
            return
        strange = sorted(name for name in self._parameters if name not in self._server)
        if strange:
            raise BridgeError(f"SCAFFOLD has no control variate for {listed(strange)}, which the model trains and the server does not have: freeze them")
        own = self._before()
        self._own = {name: own[name].to(p) if name in own else _zeros(p) for name, p in self._parameters.items()}
        self._correction = {name: self._server[name].to(p) - self._own[name] for name, p in self._parameters.items()}
        self._sum = {name: _zeros(p) for name, p in self._parameters.items()}

    def correct(self) -> None:
        """Adds the server's control variate less the site's own to the gradients of a step, and counts them as they were before."""
        if not self._server:
            return
        self._steps += 1
        for name, parameter in self._parameters.items():
            if parameter.grad is None:
                parameter.grad = _zeros(parameter)
            self._sum[name].add_(parameter.grad)
            parameter.grad.add_(self._correction[name])

    def changes(self) -> dict[str, dict[str, torch.Tensor]]:
        """The extras of the result: how the site's control variate has changed, which becomes the mean gradient of the round and is kept."""
        if not self._server:
            return {}
        if self._steps == 0:
            raise BridgeError("no step of the round was corrected: call correct() after each backward()")
        mean = {name: (total / self._steps).float().cpu() for name, total in self._sum.items()}
        self._keep(mean)
        changed = {name: mean[name] - self._own[name].float().cpu() for name in mean}
        seen: set[int] = set()
        sent: dict[str, torch.Tensor] = {}
        for name, tensor in self._server.items():
            # Tied names are the same tensor, which travels once.
            if tensor.data_ptr() in seen and tensor.numel() > 0:
                continue
            seen.add(tensor.data_ptr())
            sent[name] = changed[name].to(tensor.dtype) if name in changed else tensor.new_zeros(tensor.shape)
        return {CONTROL: sent}

    def _before(self) -> Mapping[str, torch.Tensor]:
        """That of the last round before this one, so that a round which is done again begins as it did."""
        rounds = [number for number in self._rounds() if number < self._round]
        return _files.read_torch(str(self._path(max(rounds)))) if rounds else {}

    def _keep(self, mean: Mapping[str, torch.Tensor]) -> None:
        part = self._path(self._round).with_suffix(f".{os.getpid()}")
        _files.write(str(part), mean, mean)
        part.replace(self._path(self._round))
        for number in sorted(self._rounds())[:-2]:
            self._path(number).unlink()

    def _rounds(self) -> list[int]:
        return [int(found[1]) for name in os.listdir(self._folder) if (found := _FILE.fullmatch(name))]

    def _path(self, number: int) -> pathlib.Path:
        return self._folder / f"control-{number}.safetensors"


def _zeros(parameter: torch.Tensor) -> torch.Tensor:
    return parameter.detach().new_zeros(parameter.shape)
