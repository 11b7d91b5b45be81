"""Models as safetensors files: mapped when they come, written tensor by tensor when they go. No second copy in memory either way."""

from __future__ import annotations

import json
import mmap
import os
import struct
from collections.abc import Iterable, Mapping
from typing import Any, BinaryIO

import numpy as np

from fedstream._errors import BridgeError
from fedstream._model import Array, Gathered, Tensor, is_array

_NUMPY = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "C64": "<c8",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "?",
}
_CHECKED_ELEMENTS = 1 << 20
_NAMES = {np.dtype(name).name: dtype for dtype, name in _NUMPY.items()} | {
    "bfloat16": "BF16",
    "float8_e4m3fn": "F8_E4M3",
    "float8_e5m2": "F8_E5M2",
}


def read_numpy(path: str) -> dict[str, Array]:
    """The tensors of a file, each a view of its private mapping."""
    entries, ties, start = read_header(path)
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    found = {}
    for name, entry in entries.items():
        begin, end = entry["data_offsets"]
        flat = np.frombuffer(mapped, np.uint8, count=end - begin, offset=start + begin)
        found[name] = flat.view(_numpy_dtype(entry["dtype"], name)).reshape(entry["shape"])
    return found | {alias: found[name] for alias, name in ties.items()}


def read_torch(path: str) -> dict[str, Tensor]:
    """The tensors of a file, each a view of its private mapping."""
    from safetensors.torch import load_file

    entries, ties, _ = read_header(path)
    loaded = load_file(path)
    # In the order of their bytes, which is not that of every version of safetensors.
    found = {name: loaded[name] for name in entries}
    return found | {alias: found[name] for alias, name in ties.items()}


def read_header(path: str) -> tuple[dict[str, Any], dict[str, str], int]:
    """Entries by name in the order of their bytes, ties (alias to name), and where the data begins."""
    with open(path, "rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > os.path.getsize(path) - 8:
            raise BridgeError(f"{path} is no safetensors file: its header claims {length} bytes")
        header = json.loads(file.read(length))
    metadata = header.pop("__metadata__", {})
    entries = dict(sorted(header.items(), key=lambda item: item[1]["data_offsets"][0]))
    ties = {alias: name for alias, name in metadata.items() if name in entries and alias not in entries}
    return entries, ties, 8 + length


def write(
    path: str,
    params: Mapping[str, Array | Tensor | Gathered],
    names: Iterable[str] | None = None,
    ties: Mapping[str, str] | None = None,
) -> None:
    """Writes all tensors, or those of `names`, each for itself.

    Without `names`, torch tensors that share their storage, as tied weights do in a state dict, are written once and noted as
    aliases. With them, `ties` (alias to name) are those of the model that was received: an alias that comes back with other
    values than its name is an error, since one of the two travels.
    """
    if names is None:
        kept, noted = without_ties(params)
    else:
        kept, noted = _named(params, names), {}
        _check_ties(params, ties or {})
    header: dict[str, Any] = {"__metadata__": {"format": "pt", **noted}}
    position = 0
    for name, tensor in kept.items():
        size = int(tensor.nbytes)
        header[name] = {"dtype": _dtype_name(tensor, name), "shape": list(tensor.shape), "data_offsets": [position, position + size]}
        position += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    beside = f"{path}.part"
    with open(beside, "wb", buffering=0) as file:
        _write_all(file, struct.pack("<Q", len(text)) + text)
        for tensor in kept.values():
            _write_all(file, _bytes_of(tensor))
    os.replace(beside, path)


def _named(params: Mapping[str, Array | Tensor | Gathered], names: Iterable[str]) -> dict[str, Array | Tensor | Gathered]:
    kept: dict[str, Array | Tensor | Gathered] = {}
    for name in names:
        if name not in params:
            raise BridgeError(f"the tensor {name} of the model that was received is not among those to be sent")
        kept[name] = params[name]
    return kept


def _check_ties(params: Mapping[str, Array | Tensor | Gathered], ties: Mapping[str, str]) -> None:
    for alias, name in ties.items():
        if alias in params and name in params and not _same_values(params[alias], params[name]):
            raise BridgeError(
                f"{alias} comes back with other values than {name}, and in the model the two are one tensor under two names: "
                "tie them in the program, or begin with a model in which each has a tensor of its own"
            )


def _same_values(one: Array | Tensor | Gathered, other: Array | Tensor | Gathered) -> bool:
    if _place(one) == _place(other):
        return True
    if tuple(one.shape) != tuple(other.shape):
        return False
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return bool(np.array_equal(one, other))
    import torch

    first, second = (torch.as_tensor(tensor) for tensor in (one, other))
    return torch.equal(first, second.to(device=first.device, dtype=first.dtype))


def without_ties(params: Mapping[str, Array | Tensor | Gathered]) -> tuple[dict[str, Array | Tensor | Gathered], dict[str, str]]:
    """The tensors that are written, in their order, and the names of those that are another one's (alias to name)."""
    kept: dict[str, Array | Tensor | Gathered] = {}
    ties: dict[str, str] = {}
    places: dict[tuple[object, ...], str] = {}
    for name, tensor in params.items():
        place = None if isinstance(tensor, np.ndarray) or tensor.nbytes == 0 else _place(tensor)
        first = places.get(place) if place is not None else None
        if first is not None and _are_tied(params[first], tensor):
            ties[name] = first
            continue
        if place is not None:
            places.setdefault(place, name)
        kept[name] = tensor
    return kept, ties


def _are_tied(one: Array | Tensor | Gathered, other: Array | Tensor | Gathered) -> bool:
    """Of two torch tensors over the same bytes.

    A state dict has a tensor object of its own for each name of tied weights, and `named_parameters` the same Parameter. One
    plain tensor under two names is a value that was used twice, as NumPy arrays over the same bytes are.
    """
    import torch

    return one is not other or isinstance(one, (torch.nn.Parameter, Gathered))


def _place(tensor: Array | Tensor | Gathered) -> tuple[object, ...]:
    """Two tensors with the same place are the same bytes."""
    if isinstance(tensor, Gathered):
        return ("gathered", id(tensor))
    if isinstance(tensor, np.ndarray):
        return ("cpu", tensor.__array_interface__["data"][0], tensor.shape, tensor.strides, tensor.dtype.name)
    return (str(tensor.device), tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), str(tensor.dtype))


def _bytes_of(tensor: Array | Tensor | Gathered) -> memoryview:
    """Raw little-endian bytes in C order; a tensor of a GPU comes to the host alone, not with the whole model."""
    if isinstance(tensor, np.ndarray):
        flat = np.ascontiguousarray(tensor).reshape(-1)
        if flat.dtype.byteorder == ">":
            flat = flat.byteswap()
        return flat.view(np.uint8).data
    import torch

    if isinstance(tensor, Gathered):
        whole = tensor.whole()
        assert whole is not None, "the rank that writes has the values"
        tensor = whole
    host: Array = tensor.detach().contiguous().reshape(-1).view(torch.uint8).cpu().numpy()
    return host.data


def is_finite(tensor: Array | Tensor) -> bool:
    """Whether there is no NaN and no infinity among the values; a few of them at a time are looked at."""
    flat: Any = tensor.detach().reshape(-1) if not is_array(tensor) else tensor.reshape(-1)  # type: ignore[union-attr]
    for begin in range(0, len(flat), _CHECKED_ELEMENTS):
        piece = flat[begin : begin + _CHECKED_ELEMENTS]
        if isinstance(piece, np.ndarray):
            if piece.dtype.kind not in "fcV" or bool(np.isfinite(piece.astype(np.float32) if piece.dtype.kind == "V" else piece).all()):
                continue
            return False
        if not bool(piece.isfinite().all()):
            return False
    return True


def _write_all(file: BinaryIO | Any, data: bytes | memoryview) -> None:
    view = memoryview(data)
    while len(view) > 0:
        view = view[file.write(view) :]


def _dtype_name(tensor: Array | Tensor | Gathered, name: str) -> str:
    if is_array(tensor):
        found = _NAMES.get(tensor.dtype.name)  # type: ignore[union-attr]
    else:
        found = _NAMES.get(str(tensor.dtype).removeprefix("torch."))
    if found is None:
        raise BridgeError(f"the tensor {name} is {tensor.dtype}, which safetensors does not know")
    return found


def _numpy_dtype(dtype: str, name: str) -> np.dtype[Any]:
    if dtype in _NUMPY:
        return np.dtype(_NUMPY[dtype])
    try:
        import ml_dtypes
    except ImportError:
        raise BridgeError(
            f"the tensor {name} is {dtype}, which NumPy alone does not know: pip install 'fedstream[bf16]', or receive(\"torch\")"
        ) from None
    known: dict[str, str] = {"BF16": "bfloat16", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2"}
    found: np.dtype[Any] = np.dtype(getattr(ml_dtypes, known[dtype]))
    return found
