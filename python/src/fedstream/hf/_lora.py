"""What a job's `lora` asks of a LoRA adapter: A frozen, or a stack of products beside the base."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from fedstream._errors import BridgeError, listed
from fedstream.hf._adapters import Adapter

STACK = "stack"
_FACTOR = re.compile(r"^(.*)\.lora_(embedding_)?([AB])(\..*)?$")


def prepare(model: Any, adapter: Adapter | None, lora: str, *, sharded: bool) -> Stack | None:
    """Makes the adapter as the job needs it, before anything is trained; a stack for `exact`. Raises where it cannot be."""
    if lora == "factors":
        return None
    kind = str(getattr(getattr(adapter.config, "peft_type", None), "value", "")) if adapter else ""
    if adapter is None or kind != "LORA":
        what = f"an adapter of the kind {kind}" if adapter else "no adapter"
        raise BridgeError(f'the job averages LoRA adapters (lora "{lora}"), and the trainer\'s model has {what}: make one with peft.get_peft_model')
    if lora == "ffa":
        freeze_a(model, adapter)
    if lora != "exact":
        return None
    if sharded:
        raise BridgeError('lora "exact" adds to the base, and here it lies in parts on several ranks: train with DDP, or take lora "svd" or "ffa"')
    return Stack(model, adapter)


def freeze_a(model: Any, adapter: Adapter) -> None:
    """FFA-LoRA (Sun et al. 2024): A stays as it began at every site, and B alone is trained."""
    parameters = dict(model.named_parameters(remove_duplicate=False))
    for name, own in adapter.names.items():
        found = _FACTOR.match(name)
        if found and found[3] == "A" and own in parameters:
            parameters[own].requires_grad_(False)


class Stack:
    """The products that go beside the weights of the base (Singhal et al. 2024, FedEx-LoRA).

    The base itself is never changed, packed or not: each module's output gets `scaling * x A' B'` of the stack that came with the last task. So
    nothing adds up from round to round, and a program that starts anew has what the server gives it.
    """

    def __init__(self, model: Any, adapter: Adapter) -> None:
        self._model = model
        self._adapter = adapter
        self._layers: dict[str, Any] = {}
        self._factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        for name, own in adapter.names.items():
            found = _FACTOR.match(name)
            if found and found[3] == "A":
                self._hook(found[1], name, own)

    def load(self, received: Mapping[str, torch.Tensor] | None) -> None:
        """Takes the stack of a task in the place of the last one; none where no round has left anything over."""
        factors: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        names = set(received or {})
        for module in self._layers:
            a, b = f"{module}.stack_A.weight", f"{module}.stack_B.weight"
            if received is None or a not in received:
                continue
            layer = self._layers[module]
            right, left = received[a], received.get(b)
            if left is None or right.shape != (left.shape[1], layer.in_features) or left.shape[0] != layer.out_features:
                raise BridgeError(f"the stack that was received does not fit {module}: its weight is [{layer.out_features}, {layer.in_features}]")
            factors[module] = (right.detach().clone(), left.detach().clone())
            names -= {a, b}
        if names:
            raise BridgeError(f"the stack that was received has what the adapter has no module for: {listed(sorted(names))}")
        self._factors = factors

    def _hook(self, module: str, name: str, own: str) -> None:
        layer = self._model.get_submodule(own.rpartition(".lora_")[0])
        base = layer.base_layer
        from transformers.pytorch_utils import Conv1D

        if "lora_embedding_" in name or not isinstance(base, (torch.nn.Linear, Conv1D)):
            raise BridgeError(
                f'lora "exact" adds to the output of linear layers, and {module} is a {type(base).__name__}: leave it out of target_modules, or take '
                'lora "svd", "ffa" or "factors"'
            )
        if getattr(layer, "use_dora", {}).get(self._adapter.name, False):
            raise BridgeError('lora "exact" adds to the base, and DoRA divides by a norm of the base: take lora "svd" or "factors", or use_dora=False')
        self._layers[module] = layer

        def add(_: Any, given: tuple[Any, ...], output: torch.Tensor) -> torch.Tensor:
            factors = self._factors.get(module)
            if factors is None:
                return output
            x = given[0]
            if factors[0].device != x.device:
                factors = self._factors[module] = (factors[0].to(x.device), factors[1].to(x.device))
            a, b = factors
            beside = torch.nn.functional.linear(torch.nn.functional.linear(x.to(a.dtype), a), b)
            scaling: float = layer.scaling[self._adapter.name]
            return output + (scaling * beside).to(output.dtype)

        base.register_forward_hook(add)
