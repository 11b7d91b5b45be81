"""Parameters under DeepSpeed's ZeRO. There are two of each: the one that the model computes with, and a float32 master in the optimizer, in parts on
the ranks, that replaces it at the next step. The master is what travels; both are filled."""

from __future__ import annotations

from typing import Any

import torch

from fedstream.hf._parts import Part
from fedstream.hf._ranks import Ranks


class ZeroPart(Part):
    """One parameter, of stage 1, 2 or 3; with its master once there is an optimizer that has it."""

    def __init__(self, parameter: Any, ranks: Ranks) -> None:
        self._parameter = parameter
        self._ranks = ranks
        self._partitioned = hasattr(parameter, "ds_id")
        self.shape = tuple(parameter.ds_shape if self._partitioned else parameter.shape)
        self.dtype = torch.float32 if self._has_master() else parameter.dtype

    def whole(self) -> torch.Tensor:
        from deepspeed.utils import safe_get_full_fp32_param

        if self._has_master():
            master: torch.Tensor = safe_get_full_fp32_param(self._parameter)
            return master.to(self.dtype)
        if not self._partitioned:
            own: torch.Tensor = self._parameter.detach()
            return own
        with self._gathered():
            copy: torch.Tensor = self._parameter.detach().clone()
            return copy

    def fill(self, value: torch.Tensor | None) -> None:
        whole = self._ranks.hand_out(value, self.shape, self.dtype)
        if self._partitioned:
            with self._gathered(modifier_rank=0):
                self._parameter.detach().copy_(whole)
        else:
            self._parameter.detach().copy_(whole)
        if self._has_master():
            self._fill_master(whole)

    def _fill_master(self, whole: torch.Tensor) -> None:
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

        if not self._partitioned:
            safe_set_full_fp32_param(self._parameter, whole)
            return
        # The last rank's part may reach beyond the end: it is filled up with zeros.
        size = self._parameter.ds_tensor.numel()
        group = self._parameter.ds_process_group
        begin = torch.distributed.get_rank(group) * size
        part = torch.zeros(size, dtype=whole.dtype, device=whole.device)
        given = whole.reshape(-1)[begin : begin + size]
        part[: given.numel()] = given
        safe_set_local_fp32_param(self._parameter, part)

    def _has_master(self) -> bool:
        if self._partitioned:
            return bool(self._parameter.requires_grad) and getattr(self._parameter, "_z3_optimizer", None) is not None
        return hasattr(self._parameter, "_hp_mapping")

    def _gathered(self, modifier_rank: int | None = None) -> Any:
        import deepspeed

        return deepspeed.zero.GatheredParameters([self._parameter], modifier_rank=modifier_rank)
