"""A trainer for bench/round.mjs: gives back what it got, or that and a little noise."""

import sys

import numpy as np

import fedstream

noise = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
fedstream.init()
while fedstream.is_running():
    model = fedstream.receive()
    if model.kind == "evaluate":
        fedstream.send(evaluation=fedstream.Evaluation(loss=1.0, samples=1))
        continue
    params = model.params
    if noise > 0:
        random = np.random.default_rng(model.current_round)
        for tensor in params.values():
            tensor += noise * random.standard_normal(tensor.shape, dtype=np.float32)
    fedstream.send(params, samples=1, steps=1, train_loss=1.0, evaluation=fedstream.Evaluation(loss=1.0, samples=1))
