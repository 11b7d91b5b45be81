"""What of a model travels: all its tensors, or of a model with adapters one of them."""

from __future__ import annotations

import pathlib
import tempfile
from collections.abc import Collection, Mapping
from typing import Any

import torch

from fedstream._errors import BridgeError, listed
from fedstream.hf._adapters import adapter_of, handed_out, tensors_of, trained_at_home, uncompiled
from fedstream.hf._fit import check_fit, check_loaded, is_elsewhere, same_bits

TEXTS = ("config.json", "generation_config.json", "adapter_config.json")


# The classes of packed weights: bitsandbytes has the first two, torchao the others.
_PACKED = ("Params4bit", "Int8Params", "AffineQuantizedTensor", "Int4Tensor", "Int8Tensor")


class Weights:
    """The travelling tensors of a model, by the names of its own `save_pretrained`. Raises for a model of which something trains and stays."""

    def __init__(self, model: torch.nn.Module, adapter: str | None = None, *, empty: bool = False) -> None:
        """`empty`: this process is a rank that need not have loaded the values."""
        self.model: Any = uncompiled(model)
        self.adapter = adapter_of(self.model, adapter)
        self.what = f"the adapter {self.adapter.name!r}" if self.adapter else "the model"
        self._loaded_before = False
        if not empty:
            _refuse_offloaded(self.tensors())
        _refuse_packed(self.model, self.adapter.names.values() if self.adapter else None)
        if self.adapter is None:
            self._refuse_what_stays()

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, the model's own tensors, tied names too."""
        if self.adapter:
            return self.adapter.live(self.model)
        state: dict[str, torch.Tensor] = self.model.state_dict(keep_vars=True)
        tensors = {name: tensor for name, tensor in state.items() if isinstance(tensor, torch.Tensor)}
        # Of what has no bytes on this rank the parameter alone says which it is.
        return {name: tensor if is_elsewhere(tensor) else tensor.detach() for name, tensor in tensors.items()}

    def own_names(self) -> dict[str, str]:
        """By the name that travels, that in the model; of tied tensors the first."""
        named = tensors_of(self.model)
        first: dict[int, str] = {}
        for name, tensor in named.items():
            first.setdefault(id(tensor), name)
        names = self.adapter.names if self.adapter else {name: name for name in self.tensors()}
        strange = [name for name, own in names.items() if own not in named]
        if strange:
            raise BridgeError(f"{listed(strange)} of the model's state_dict() are no tensors of the model, and cannot be gathered; train it with DDP")
        return {name: first[id(named[own])] for name, own in names.items()}

    @torch.no_grad()
    def load(self, received: Mapping[str, torch.Tensor]) -> None:
        """Copies what was received into the model, in place, and reads it back; raises where a name, a shape, a dtype or a value does not fit."""
        own = self.tensors()
        check_fit(own, received, self.what)
        for name, tensor in received.items():
            own[name].copy_(tensor)
        check_loaded(self.tensors(), received, self.what)
        if self.adapter and not self._loaded_before:
            # Before anything is trained, so that an AdaLoRA still has all its ranks.
            self._check_as_saved(received)
        self._loaded_before = True

    def are_as(self, received: Mapping[str, torch.Tensor]) -> bool:
        """Whether the model still has, bit for bit, what was received."""
        own = self.tensors()
        return all(same_bits(own[name], tensor) for name, tensor in received.items())

    def texts(self) -> dict[str, str]:
        """The small files that make the tensors a folder which transformers or PEFT loads; none of a model that is a plain module."""
        with tempfile.TemporaryDirectory() as folder:
            if self.adapter:
                self.adapter.file_config(self.model).save_pretrained(folder)
            elif hasattr(getattr(self.model, "config", None), "save_pretrained"):
                # As save_pretrained of the model has it, without the weights.
                config = type(self.model.config).from_dict(self.model.config.to_dict())
                config.architectures = [type(self.model).__name__]
                config.save_pretrained(folder)
                if hasattr(self.model, "can_generate") and self.model.can_generate():
                    self.model.generation_config.save_pretrained(folder)
            files = {name: pathlib.Path(folder, name) for name in TEXTS}
            return {name: path.read_text("utf-8") for name, path in files.items() if path.exists()}

    def _check_as_saved(self, received: Mapping[str, torch.Tensor]) -> None:
        assert self.adapter is not None
        names = list(self.adapter.names)
        saved = dict(zip(names, handed_out(self.model, self.adapter.name).values(), strict=True))
        check_loaded(saved, received, self.what)

    def _refuse_what_stays(self) -> None:
        at_home = trained_at_home(self.model, self.tensors().values())
        if at_home:
            raise BridgeError(
                f"{len(at_home)} of the trained parameters are not in the model's state_dict(), so they cannot travel: {listed(at_home)}; "
                "freeze them, or have state_dict() give them"
            )


def _refuse_packed(model: Any, adapter: Collection[str] | None) -> None:
    """Codes of a quantizer are no numbers that could be averaged. `adapter` has the names that travel, where not all of the model does."""
    # Each of bitsandbytes, torchao and others has a class of its own for what it has packed.
    packed = sorted(name for name, tensor in model.named_parameters() if type(tensor).__name__ in _PACKED and (adapter is None or name in adapter))
    quantizer = getattr(model, "hf_quantizer", None) if adapter is None else None
    method = getattr(getattr(quantizer, "quantization_config", None), "quant_method", None)
    if packed or method is not None:
        how = str(getattr(method, "value", method or "4-bit or 8-bit"))
        named = f": {listed(packed)}" if packed else ""
        raise BridgeError(
            f"the model is quantized ({how}), and packed weights cannot be averaged{named}. Put a LoRA adapter on it (peft.get_peft_model), which "
            "travels alone while the base stays packed, or load the model in bfloat16"
        )


def _refuse_offloaded(tensors: Mapping[str, torch.Tensor]) -> None:
    away = sorted(name for name, tensor in tensors.items() if tensor.is_meta)
    if away:
        raise BridgeError(
            f"{listed(away)}: on the device 'meta', so there are no values to send; load the model without offloading (no device_map to disk)"
        )
