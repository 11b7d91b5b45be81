"""A model of normal weights in matrices of 64 MiB; PEERS_MIB is its size."""

import os

import torch


class Layers(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        count = int(os.environ["PEERS_MIB"]) // 64
        self.layers = torch.nn.ParameterList(torch.randn(4096, 4096) * 0.02 for _ in range(count))
