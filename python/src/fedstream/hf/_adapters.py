"""PEFT adapters: which one travels, by which names, and which kinds cannot be handed over."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from fedstream._errors import BridgeError, listed
from fedstream.hf._fit import place_of

# Names in the files of an adapter begin so; transformers' own `add_adapter` leaves it to its `save_pretrained`.
_FILE_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Adapter:
    """The adapter that travels."""

    name: str
    names: Mapping[str, str]
    """By name in its file, the name of the tensor in the model."""
    config: Any

    def live(self, model: Any) -> dict[str, torch.Tensor]:
        """The model's own tensors, by the names of the file."""
        found = tensors_of(model)
        return {name: found[own].detach() for name, own in self.names.items()}

    def file_config(self, model: Any) -> Any:
        """The configuration as PEFT saves it: for loading, with the base's name."""
        config = copy.copy(self.config)
        config.inference_mode = True
        base = base_of(model)
        if config.base_model_name_or_path is None:
            config.base_model_name_or_path = vars(base).get("name_or_path")
        if config.task_type is None:
            config.auto_mapping = {"base_model_class": type(base).__name__, "parent_library": type(base).__module__}
        return config


def adapter_of(model: Any, wanted: str | None) -> Adapter | None:
    """The adapter `wanted`, or the active one; None for a model without. Raises where it cannot be handed over."""
    configs = getattr(model, "peft_config", None)
    peft: Any = sys.modules.get("peft")
    if peft is None or not isinstance(configs, dict) or not configs:
        if wanted is not None:
            raise BridgeError(f"adapter={wanted!r}: the trainer's model has no adapters; leave it out, or make one with peft.get_peft_model")
        return None
    if isinstance(model, peft.PeftMixedModel):
        raise BridgeError("a PeftMixedModel cannot be federated: PEFT does not save one; train one adapter of a PeftModel (peft.get_peft_model)")
    name = _chosen(model, configs, wanted)
    config = configs[name]
    # PEFT's name of it: LORA, IA3, PROMPT_TUNING, …
    kind = str(getattr(config.peft_type, "value", config.peft_type))
    prefix = "" if isinstance(model, peft.PeftModel) else _FILE_PREFIX
    handed = handed_out(model, name)
    live = tensors_of(model)
    names, copies = _names_in_model(live, name, handed, prefix)
    if copies:
        raise BridgeError(
            f"an adapter of the kind {kind} cannot be federated: of {listed(copies)} PEFT gives copies that are computed from other parameters, so "
            "that a received one cannot be put back; take another kind, such as LORA, PROMPT_TUNING, or PREFIX_TUNING without prefix_projection"
        )
    travelling = [live[own] for own in names.values()]
    if not any(tensor.requires_grad for tensor in travelling):
        raise BridgeError(f"nothing of the adapter {name!r} is trained: make it the active one with model.set_adapter({name!r}), or give adapter=…")
    at_home = trained_at_home(model, travelling)
    if at_home:
        raise BridgeError(
            f"{len(at_home)} of the trained parameters do not travel with the adapter {name!r} ({kind}): {listed(at_home)}. They would differ from site "
            "to site: name their modules in modules_to_save, freeze them, or leave one adapter active (model.set_adapter)"
        )
    return Adapter(name, names, config)


def handed_out(model: Any, adapter: str) -> dict[str, torch.Tensor]:
    """What PEFT saves of an adapter."""
    import peft

    # The embedding travels only where the adapter's own configuration says so; the default would ask the hub whether it was resized.
    # The parameters themselves: of a detached one under ZeRO-3 nobody knows which it is.
    state = model.state_dict(keep_vars=True)
    found: dict[str, torch.Tensor] = peft.get_peft_model_state_dict(model, state, adapter_name=adapter, save_embedding_layers=False)
    return found


def tensors_of(model: Any) -> dict[str, torch.Tensor]:
    """Parameters and buffers by name, tied ones under each of their names."""
    return {**dict(model.named_buffers(remove_duplicate=False)), **dict(model.named_parameters(remove_duplicate=False))}


def trained_at_home(model: Any, travelling: Iterable[torch.Tensor]) -> list[str]:
    """Parameters that are trained and are none of those that travel."""
    places = {place_of(tensor) for tensor in travelling}
    return [name for name, tensor in model.named_parameters() if tensor.requires_grad and place_of(tensor) not in places]


def _chosen(model: Any, configs: Mapping[str, Any], wanted: str | None) -> str:
    if wanted is not None:
        if wanted not in configs:
            raise BridgeError(f"adapter={wanted!r}: there is none of that name; the model has {listed(sorted(configs))}")
        return wanted
    active = _active(model)
    if len(active) != 1:
        raise BridgeError(
            f"{len(active)} adapters are active ({listed(active)}), and one travels: leave it alone with model.set_adapter, and name it with adapter=…"
        )
    return active[0]


def _active(model: Any) -> list[str]:
    try:
        active = model.active_adapters() if callable(model.active_adapters) else model.active_adapters
    except AttributeError:
        # A module into which peft.inject_adapter_in_model has put adapters tells of none.
        active = list(model.peft_config)
    return [active] if isinstance(active, str) else list(active)


def _names_in_model(
    live: dict[str, torch.Tensor], adapter: str, handed: Mapping[str, torch.Tensor], prefix: str
) -> tuple[dict[str, str], list[str]]:
    """By name in the file, that in the model; and the names of those that are no tensors of the model."""
    places = {place_of(tensor): own for own, tensor in reversed(live.items())}
    names: dict[str, str] = {}
    copies: list[str] = []
    for name, tensor in handed.items():
        own = places.get(place_of(tensor)) or _prompt(live, adapter, name, tensor)
        if own is None:
            copies.append(name)
        else:
            names[prefix + name] = own
    return names, copies


def _prompt(live: Mapping[str, torch.Tensor], adapter: str, name: str, handed: torch.Tensor) -> str | None:
    """The embedding of a prompt is handed out as a copy: it is that of the encoder only where nothing is computed in between."""
    own = f"prompt_encoder.{adapter}.embedding.weight"
    if name != "prompt_embeddings" or own not in live or not live[own].requires_grad:
        return None
    return own if torch.equal(live[own].detach().to(handed.device), handed) else None


def uncompiled(model: Any) -> Any:
    """The model that was given to `torch.compile`, whose names have no prefix."""
    return getattr(model, "_orig_mod", model)


def base_of(model: Any) -> Any:
    """The model under the adapters; the model itself where there are none, or where they were put into it."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model
