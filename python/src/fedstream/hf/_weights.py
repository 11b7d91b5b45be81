"""What of a model travels: all its tensors, or of a PEFT model the adapter alone."""

from __future__ import annotations

import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from fedstream._errors import BridgeError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

TEXTS = ("config.json", "generation_config.json", "adapter_config.json")


class Weights:
    """The travelling tensors of a model, by the names of its own `save_pretrained`."""

    def __init__(self, model: PreTrainedModel) -> None:
        self._model: Any = model
        self.adapter = _is_peft(model)

    def tensors(self) -> dict[str, torch.Tensor]:
        """By name, the model's own tensors, tied names too."""
        if not self.adapter:
            state: dict[str, torch.Tensor] = self._model.state_dict()
            return state
        import peft

        # The embedding travels only where the adapter's own configuration says so; the default would ask the hub whether it was resized.
        found: dict[str, torch.Tensor] = peft.get_peft_model_state_dict(self._model, save_embedding_layers=False)
        return found

    @torch.no_grad()
    def load(self, received: Mapping[str, torch.Tensor]) -> None:
        """Copies what was received into the model, in place; raises where a name or a shape does not fit."""
        own = self.tensors()
        _check(own, received, "the adapter" if self.adapter else "the model")
        for name, tensor in received.items():
            own[name].copy_(tensor)

    def texts(self) -> dict[str, str]:
        """The small files that make the tensors a folder which transformers or PEFT loads."""
        with tempfile.TemporaryDirectory() as folder:
            if self.adapter:
                self._model.peft_config[self._model.active_adapter].save_pretrained(folder)
            else:
                # As save_pretrained of the model has it, without the weights.
                config = type(self._model.config).from_dict(self._model.config.to_dict())
                config.architectures = [type(self._model).__name__]
                config.save_pretrained(folder)
                if self._model.can_generate():
                    self._model.generation_config.save_pretrained(folder)
            files = {name: pathlib.Path(folder, name) for name in TEXTS}
            return {name: path.read_text() for name, path in files.items() if path.exists()}


def _is_peft(model: object) -> bool:
    peft: Any = sys.modules.get("peft")
    return peft is not None and isinstance(model, peft.PeftModel)


def _check(own: Mapping[str, torch.Tensor], received: Mapping[str, torch.Tensor], what: str) -> None:
    extra = sorted(name for name in received if name not in own)
    given = {_bytes_at(own[name]) for name in received if name in own}
    missing = sorted(name for name, tensor in own.items() if name not in received and _bytes_at(tensor) not in given)
    shapes = sorted(name for name, tensor in received.items() if name in own and tensor.shape != own[name].shape)
    for names, fault in ((extra, "has no"), (missing, "received no"), (shapes, "has another shape of")):
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            raise BridgeError(f"{what} of this script does not fit the federation's: it {fault} {', '.join(names[:3])}{more}")


def _bytes_at(tensor: torch.Tensor) -> tuple[object, ...]:
    """Tied tensors are the same bytes: one name of them is enough."""
    return (str(tensor.device), tensor.data_ptr(), tuple(tensor.shape)) if tensor.numel() else (id(tensor),)
