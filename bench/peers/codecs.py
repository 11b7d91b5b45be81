"""GB/s of float32 through torch (fp16) and bitsandbytes (the others) on the CPU: THREADS MIB. Best of four
passes over tensors of 64 MiB, called as NVFlare's filters call them."""

import json
import os
import sys
import time
from collections.abc import Callable

threads, mib = int(sys.argv[1]), int(sys.argv[2])
os.environ["OMP_NUM_THREADS"] = str(threads)

import torch
from bitsandbytes.functional import dequantize_4bit, dequantize_blockwise, quantize_4bit, quantize_blockwise

torch.set_num_threads(threads)
torch.manual_seed(1)
values = [torch.randn(8192, 2048) * 0.02 for _ in range(mib // 64)]
gigabytes = mib * 2**20 / 1e9
LIMIT = torch.finfo(torch.float16).max


def best(step: Callable[[int], object]) -> float:
    rates = []
    for _ in range(4):
        began = time.perf_counter()
        for i in range(len(values)):
            step(i)
        rates.append(gigabytes / (time.perf_counter() - began))
    return round(max(rates), 2)


CODECS: dict[str, tuple[Callable, Callable]] = {
    "fp16": (lambda x: torch.clamp(x, -LIMIT, LIMIT).to(torch.float16), lambda code: code.to(torch.float32)),
    "blockwise8": (quantize_blockwise, lambda code: dequantize_blockwise(*code)),
    **{
        name: (lambda x, name=name: quantize_4bit(x, quant_type=name), lambda code: dequantize_4bit(*code))
        for name in ("nf4", "fp4")
    },
}
copies = [torch.empty_like(value) for value in values]
found = {"copy": best(lambda i: copies[i].copy_(values[i]))}
del copies
for name, (encode, decode) in CODECS.items():
    codes = [encode(value) for value in values]
    found[f"{name}.encode"] = best(lambda i: encode(values[i]))
    found[f"{name}.decode"] = best(lambda i: decode(codes[i]))
print(json.dumps(found))
