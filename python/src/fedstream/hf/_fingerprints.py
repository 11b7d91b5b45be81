"""What a training rests on, as short texts by name (docs/spec/trainer-bridge.md, "Fingerprints"): sites that differ in them cannot be averaged."""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from enum import Enum
from typing import Any

import torch

from fedstream._client import MAX_FINGERPRINTS, NAME
from fedstream.hf._adapters import Adapter, base_of, uncompiled
from fedstream.hf._fit import is_elsewhere

_PLAIN = re.compile(r"[ -~]{1,64}")
_PIECES = 64
_PIECE_BYTES = 4096
_NO_MATTER = frozenset(
    ("base_model_name_or_path", "revision", "inference_mode", "auto_mapping", "parent_library", "peft_version", "task_type")
)
_NO_MATTER_AT = re.compile(r"^(init_|megatron_)|(dropout|_config|_path)$")
_OF_CONFIG = (
    "model_type vocab_size hidden_size intermediate_size num_hidden_layers num_attention_heads num_key_value_heads head_dim hidden_act rms_norm_eps "
    "layer_norm_eps layer_norm_epsilon rope_theta tie_word_embeddings sliding_window n_embd n_layer n_head d_model num_layers"
).split()


def fingerprints_of(trainer: Any, adapter: Adapter | None) -> dict[str, str]:
    """Of the trainer's model, its adapter, its base, its tokenizer and its labels. Reads a few hundred KiB of each file of the base."""
    model = uncompiled(trainer.model)
    base = base_of(model)
    config: Any = getattr(base, "config", None)
    settings: dict[str, Any] = config.to_dict() if hasattr(config, "to_dict") else {}
    told: dict[str, str] = {}
    if adapter:
        told |= base_weights(model, base)
    tokenizer = _tokenizer(getattr(trainer, "processing_class", None) or getattr(trainer, "tokenizer", None))
    if tokenizer is not None:
        told["tokenizer"] = tokenizer
    if "Classification" in type(base).__name__ and settings.get("id2label"):
        told["labels"] = value_of(settings["id2label"])
    for name in _OF_CONFIG:
        found = settings.get(name)
        if found is None and name == "rope_theta":
            found = (settings.get("rope_parameters") or {}).get(name)
        if found is not None:
            told[f"base.config.{name}"] = value_of(found)
    if adapter:
        for name, value in adapter.config.to_dict().items():
            if name not in _NO_MATTER and not _NO_MATTER_AT.search(name):
                told[f"adapter.{name}"] = value_of(value)
    return dict([(name, value) for name, value in told.items() if NAME.fullmatch(name)][:MAX_FINGERPRINTS])


def value_of(field: Any) -> str:
    """The value of a field of a configuration."""
    plain = _plain(field)
    if isinstance(plain, list) and all(isinstance(item, str) for item in plain):
        plain = sorted(plain, key=_utf16)
    text = plain if isinstance(plain, str) else canonical(plain)
    return text if _PLAIN.fullmatch(text) else _digest(canonical(plain).encode())


def canonical(value: Any) -> str:
    """Canonical JSON (RFC 8785)."""
    if isinstance(value, dict):
        items = sorted(((str(key), inner) for key, inner in value.items()), key=lambda item: _utf16(item[0]))
        return "{" + ",".join(f"{canonical(key)}:{canonical(inner)}" for key, inner in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(canonical(inner) for inner in value) + "]"
    if isinstance(value, float):
        return _number(value)
    return json.dumps(value, ensure_ascii=False)


def base_weights(model: Any, base: Any) -> dict[str, str]:
    """The digest of the base's files, or of its values where it has none."""
    files = _files_of(base)
    if files:
        return {"base.weights": _digest_of_files(files)}
    values = _digest_of_values(model)
    return {} if values is None else {"base.values": values}


def _digest_of_files(files: list[pathlib.Path]) -> str:
    whole = hashlib.sha256()
    for path in files:
        size = path.stat().st_size
        whole.update(f"{path.name}\n{size}\n".encode())
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            begin = 8 + length
            if begin > size:
                continue
            for piece in _pieces(file, length):
                whole.update(piece)
            for number in range(_PIECES):
                file.seek(begin + number * (size - begin) // _PIECES)
                whole.update(file.read(_PIECE_BYTES))
    return f"sha256-{whole.hexdigest()}"


def _pieces(file: Any, length: int) -> Iterator[bytes]:
    while length > 0:
        piece = file.read(min(length, 1 << 20))
        if not piece:
            return
        length -= len(piece)
        yield piece


def _digest_of_values(model: Any) -> str | None:
    """None where values are packed, or not here."""
    others = set(model.peft_config)
    whole = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters(remove_duplicate=False)):
        parts = name.split(".")
        if others.intersection(parts):
            continue
        if not parameter.is_floating_point() or is_elsewhere(parameter):
            return None
        own = ".".join(part for part in parts if part not in ("base_layer", "original_module", "base_model"))
        count = parameter.numel()
        shape = "x".join(str(side) for side in parameter.shape)
        whole.update(f"{own.removeprefix('model.')}\n{shape}\n".encode())
        if count > 0:
            places = torch.tensor([number * count // _PIECES for number in range(_PIECES)], device=parameter.device)
            whole.update(parameter.detach().reshape(-1)[places].to("cpu", torch.float32).numpy().astype("<f4").tobytes())
    return f"sha256-{whole.hexdigest()}"


def _files_of(base: Any) -> list[pathlib.Path]:
    """The safetensors files of the folder that the base was loaded from, a hub's cache too."""
    name = getattr(base, "name_or_path", None)
    if not isinstance(name, str) or not name:
        return []
    folder = pathlib.Path(name)
    if not folder.is_dir():
        cached = _cached(name, getattr(getattr(base, "config", None), "_commit_hash", None))
        if cached is None:
            return []
        folder = cached
    return sorted(folder.glob("*.safetensors"), key=lambda path: path.name)


def _cached(name: str, revision: str | None) -> pathlib.Path | None:
    from huggingface_hub import try_to_load_from_cache

    try:
        found = try_to_load_from_cache(name, "config.json", revision=revision)
    except ValueError:
        return None
    return pathlib.Path(found).parent if isinstance(found, str) else None


def _tokenizer(given: Any) -> str | None:
    tokenizer = getattr(given, "tokenizer", given)
    if not hasattr(tokenizer, "get_vocab"):
        return None
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    return _digest(canonical([[number, token] for number, token in sorted((n, t) for t, n in vocabulary.items())]).encode())


def _plain(value: Any) -> Any:
    """As JSON has it: names in the place of enumerations, lists in the place of sets."""
    if isinstance(value, Enum):
        return _plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, (set, frozenset)):
        return sorted((_plain(inner) for inner in value), key=str)
    if isinstance(value, (list, tuple)):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _number(value: float) -> str:
    """As ECMAScript writes it."""
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    text = "".join(map(str, digits))
    point = len(text) + int(exponent)
    minus = "-" if sign else ""
    if -6 < point <= 0:
        return f"{minus}0.{'0' * -point}{text}"
    if 0 < point <= 21:
        return f"{minus}{text[:point]}.{text[point:]}"
    fraction = f".{text[1:]}" if len(text) > 1 else ""
    return f"{minus}{text[0]}{fraction}e{'+' if point > 0 else ''}{point - 1}"


def _utf16(text: str) -> bytes:
    return text.encode("utf-16-be", "surrogatepass")


def _digest(content: bytes) -> str:
    return f"sha256-{hashlib.sha256(content).hexdigest()}"
