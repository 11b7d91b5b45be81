"""NVFlare's quantizing filters over a state dict in memory, in tensors of 64 MiB: TYPE MIB. On a machine
without a GPU `Tensor.cuda`, which they call, gives the tensor itself."""

import json
import resource
import sys
import time

import torch

if not torch.cuda.is_available():
    torch.Tensor.cuda = lambda self, *given, **more: self

from nvflare.apis.dxo import DXO, DataKind
from nvflare.apis.fl_context import FLContext
from nvflare.apis.shareable import Shareable
from nvflare.app_opt.pt.quantization.dequantizer import ModelDequantizer
from nvflare.app_opt.pt.quantization.quantizer import ModelQuantizer

kind, mib = sys.argv[1], int(sys.argv[2])
torch.manual_seed(1)
data = {f"layer.{i}": torch.randn(8192, 2048) * 0.02 for i in range(mib // 64)}


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


before = peak_mib()
dxo, context = DXO(DataKind.WEIGHTS, data=data), FLContext()
began = time.perf_counter()
coded = ModelQuantizer(quantization_type=kind).process_dxo(dxo, Shareable(), context)
middle = time.perf_counter()
ModelDequantizer().process_dxo(coded, Shareable(), context)
ended = time.perf_counter()
print(json.dumps({"encode": middle - began, "decode": ended - middle, "moreMiB": round(peak_mib() - before)}))
