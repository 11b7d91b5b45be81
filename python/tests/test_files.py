"""Models in files: what is written is read back to the bit, by this package and by safetensors itself."""

from __future__ import annotations

import pathlib

import ml_dtypes
import numpy as np
import pytest
import torch
from fedstream import BridgeError, _files
from safetensors import safe_open


def test_numpy_and_torch_read_what_either_wrote(tmp_path: pathlib.Path) -> None:
    arrays = {
        "f32": np.arange(6, dtype=np.float32).reshape(2, 3),
        "f16": np.array([1, -0.0, np.inf], np.float16),
        "bf16": np.array([1.5, -3e38], ml_dtypes.bfloat16),
        "i64": np.array(7, np.int64),
        "flag": np.array([True, False]),
        "empty": np.zeros((0, 4), np.float32),
    }
    path = str(tmp_path / "a.safetensors")
    _files.write(path, arrays)
    as_torch = _files.read_torch(path)
    assert as_torch["bf16"].dtype == torch.bfloat16
    again = str(tmp_path / "b.safetensors")
    _files.write(again, as_torch)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    for name, array in _files.read_numpy(again).items():
        assert array.dtype == arrays[name].dtype and array.shape == arrays[name].shape
        assert array.tobytes() == arrays[name].tobytes()
    with safe_open(path, "np") as file:  # type: ignore[no-untyped-call]
        assert set(file.keys()) == set(arrays)


def test_tied_tensors_travel_once_and_come_back_tied(tmp_path: pathlib.Path) -> None:
    weight = torch.ones(4, 4)
    path = str(tmp_path / "tied.safetensors")
    _files.write(path, {"embed": weight, "head": weight.detach(), "view": weight[:2]})
    entries, ties, _ = _files.read_header(path)
    assert list(entries) == ["embed", "view"] and ties == {"head": "embed"}
    for found in (_files.read_torch(path), _files.read_numpy(path)):
        assert found["head"] is found["embed"]


def test_one_array_under_two_names_is_two_tensors(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "zeros.safetensors")
    zeros = np.zeros(3, np.float32)
    for params in ({"a": zeros, "b": zeros}, {"a": zeros, "b": zeros[:]}, dict.fromkeys(("a", "b"), torch.zeros(3))):
        _files.write(path, params)  # type: ignore[arg-type]
        entries, ties, _ = _files.read_header(path)
        assert list(entries) == ["a", "b"] and ties == {}
    weight = torch.nn.Parameter(torch.zeros(3))
    _files.write(path, {"a": weight, "b": weight})
    assert _files.read_header(path)[1] == {"b": "a"}


def test_a_result_has_every_tensor_that_was_received(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "result.safetensors")
    zeros = np.zeros(3, np.float32)
    _files.write(path, {"a": zeros, "b": zeros}, ["a", "b"])
    assert list(_files.read_header(path)[0]) == ["a", "b"]


def test_the_halves_of_a_tie_come_back_with_the_same_values(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "tied.safetensors")
    ones = np.ones(3, np.float32)
    for other in (ones, ones.copy(), torch.ones(3)):
        _files.write(path, {"embed": ones, "head": other}, ["embed"], {"head": "embed"})
        assert list(_files.read_header(path)[0]) == ["embed"]
    for other in (ones + 1, torch.zeros(3), np.ones(4, np.float32)):
        with pytest.raises(BridgeError, match="head comes back with other values than embed"):
            _files.write(path, {"embed": ones, "head": other}, ["embed"], {"head": "embed"})


def test_a_mapping_is_private(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "private.safetensors")
    _files.write(path, {"w": np.zeros(3, np.float32)})
    for read in (_files.read_torch, _files.read_numpy):
        tensors = read(path)
        tensors["w"] += 1  # type: ignore[misc]
        assert float(tensors["w"][0]) == 1
    assert not _files.read_numpy(path)["w"].any()


def test_strides_and_byte_order_do_not_matter(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "strides.safetensors")
    array = np.arange(6, dtype=np.float32).reshape(2, 3)
    _files.write(path, {"numpy": array.T, "big": array.astype(">f4"), "torch": torch.from_numpy(array).T})
    found = _files.read_numpy(path)
    assert (found["numpy"] == array.T).all() and (found["big"] == array).all() and (found["torch"] == array.T).all()


def test_what_is_missing_or_unknown_is_named(tmp_path: pathlib.Path) -> None:
    path = str(tmp_path / "x.safetensors")
    with pytest.raises(BridgeError, match="tensor b of the model"):
        _files.write(path, {"a": np.zeros(1)}, ["a", "b"])
    with pytest.raises(BridgeError, match="tensor c is complex128"):
        _files.write(path, {"c": np.zeros(1, np.complex128)})
    (tmp_path / "bad").write_bytes(b"\xff" * 16)
    with pytest.raises(BridgeError, match="no safetensors file"):
        _files.read_header(str(tmp_path / "bad"))
