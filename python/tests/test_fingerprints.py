"""Fingerprints are the texts that docs/spec/trainer-bridge.md says, whoever computes them."""

from __future__ import annotations

import hashlib
import json
import pathlib
import struct
from typing import Any

import pytest
import torch
from fedstream.hf._fingerprints import base_weights, canonical, value_of


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (16.0, "16"),
        (1e-05, "0.00001"),
        (1e-06, "0.000001"),
        (1e-07, "1e-7"),
        (1.5e-07, "1.5e-7"),
        (-2.5, "-2.5"),
        (0.1, "0.1"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.25e22, "1.25e+22"),
        (123456.789, "123456.789"),
        (-0.0, "0"),
        (5e-324, "5e-324"),
    ],
)
def test_numbers_are_those_of_ecmascript(number: float, text: str) -> None:
    assert canonical(number) == text


def digest(text: str) -> str:
    return f"sha256-{hashlib.sha256(text.encode()).hexdigest()}"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("silu", "silu"),
        (8, "8"),
        (None, "null"),
        (False, "false"),
        ({"v_proj", "q_proj"}, '["q_proj","v_proj"]'),
        (["v_proj", "q_proj"], '["q_proj","v_proj"]'),
        ([2, 1], "[2,1]"),
        ({"q": 2, "a": {"z": 1.0, "b": None}}, '{"a":{"b":null,"z":1},"q":2}'),
        ("", digest('""')),
        ("ä", digest('"ä"')),
        ("x" * 65, digest(f'"{"x" * 65}"')),
        ({"0": "nein", "1": "größer"}, digest('{"0":"nein","1":"größer"}')),
        ({1: "b", 0: "a"}, '{"0":"a","1":"b"}'),
    ],
)
def test_a_field_is_its_text_or_a_digest(field: Any, value: str) -> None:
    assert value_of(field) == value


def test_the_digest_of_a_base_is_of_names_sizes_headers_and_pieces(tmp_path: pathlib.Path) -> None:
    data = bytes(i * 7 % 251 for i in range(700_000))
    header = json.dumps({"w": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}).encode()
    whole = struct.pack("<Q", len(header)) + header + data
    for name in ("b.safetensors", "a.safetensors", "other.bin"):
        (tmp_path / name).write_bytes(whole)
    expected = hashlib.sha256()
    for name in ("a.safetensors", "b.safetensors"):
        expected.update(f"{name}\n{len(whole)}\n".encode() + header)
        for piece in range(64):
            begin = piece * len(data) // 64
            expected.update(data[begin : begin + 4096])
    base = torch.nn.Linear(2, 2)
    base.name_or_path = str(tmp_path)  # type: ignore[assignment]
    assert base_weights(base, base) == {"base.weights": f"sha256-{expected.hexdigest()}"}


def test_the_digest_of_values_is_of_names_shapes_and_values() -> None:
    base = torch.nn.Sequential(torch.nn.Linear(3, 2))
    base.peft_config = {}  # type: ignore[assignment]
    expected = hashlib.sha256()
    for name, tensor in sorted(base.named_parameters()):
        expected.update(f"{name}\n{'x'.join(map(str, tensor.shape))}\n".encode())
        flat = tensor.detach().reshape(-1).tolist()
        expected.update(struct.pack("<64f", *(flat[i * len(flat) // 64] for i in range(64))))
    assert base_weights(base, base) == {"base.values": f"sha256-{expected.hexdigest()}"}
    half = base.to(torch.bfloat16)
    half[0].weight = torch.nn.Parameter(torch.zeros(2, 3, dtype=torch.uint8), requires_grad=False)
    assert base_weights(half, half) == {}
