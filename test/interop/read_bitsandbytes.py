"""Decodes a model in the 4-bit layout of bitsandbytes with NumPy alone, and compares it with a plain safetensors file.

    python3 read_bitsandbytes.py CODED PLAIN

Written from the layout's description, not from FedStream's code. Prints one line; the exit code is 1 where a bit differs.
"""

import json
import math
import sys

import numpy as np

DTYPES = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16, "U8": np.uint8, "I64": np.int64}


def read(path):
    with open(path, "rb") as file:
        data = file.read()
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        values = np.frombuffer(data[begin:end], DTYPES[entry["dtype"]])
        tensors[name] = (entry["dtype"], values.reshape(entry["shape"]))
    return tensors


def to_bf16(values):
    bits = values.view(np.uint32)
    return ((bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)).astype(np.uint16)


def decode(tensors, name, state):
    elements = math.prod(state["shape"])
    packed = tensors[name][1].reshape(-1)
    nibbles = np.stack([packed >> 4, packed & 15], axis=1).reshape(-1)[:elements]
    absmax = tensors[name + ".absmax"][1]
    if "nested_offset" in state:
        scales = tensors[name + ".nested_absmax"][1][np.arange(len(absmax)) // state["nested_blocksize"]]
        absmax = tensors[name + ".nested_quant_map"][1][absmax] * scales + np.float32(state["nested_offset"])
    values = tensors[name + ".quant_map"][1][nibbles] * absmax[np.arange(elements) // state["blocksize"]]
    values = values.astype(np.float32)
    own = {"float32": lambda v: v, "float16": lambda v: v.astype(np.float16), "bfloat16": to_bf16}
    return own[state["dtype"]](values).reshape(state["shape"])


def main(coded_path, plain_path):
    coded, plain = read(coded_path), read(plain_path)
    decoded = {}
    for name, (_, values) in coded.items():
        base, mark, _ = name.partition(".quant_state.bitsandbytes__")
        if mark:
            decoded[base] = decode(coded, base, json.loads(bytes(values)))
    for name, (dtype, expected) in plain.items():
        found = decoded[name] if name in decoded else coded[name][1]
        if found.shape != expected.shape or found.tobytes() != expected.tobytes():
            print(f"{name} ({dtype} {list(expected.shape)}) differs")
            return 1
    print(f"{len(plain)} tensors, {len(decoded)} of them 4-bit, equal")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
