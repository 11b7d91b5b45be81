"""Two ranks of a sharded model: what is trained is what the trainer trains without a federation, and no rank has the whole of it."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest
import ranks_for_tests as ranks
import torch
from launches import launch, launched_fsdp, site_that_gives_back
from site_for_tests import FakeSite

MIB = 1 << 20


def losses_of(site: FakeSite) -> list[float]:
    return [message["loss"] for message in site.steps()]


def test_fsdp() -> None:
    told, full, adapter = launched_fsdp()
    # 24 samples in batches of 4 on two ranks: three steps an epoch.
    assert losses_of(full) == told[0]["losses"] and len(told[0]["losses"]) == 9
    assert losses_of(adapter) == told[0]["adapter"]
    own = ranks.make_model().state_dict()
    offered = full.models["offer-0"]
    assert {name: tuple(tensor.shape) for name, tensor in offered.items()} == {name: tuple(tensor.shape) for name, tensor in own.items()}
    assert all(torch.equal(offered[name], tensor) for name, tensor in own.items())
    trained = full.models["train-3"]
    assert "lm_head.weight" not in trained
    assert not torch.equal(trained["transformer.h.1.attn.c_attn.weight"], own["transformer.h.1.attn.c_attn.weight"])
    assert all("lora_" in name for name in adapter.models["train-3"]) and len(adapter.models["train-3"]) == 4
    for site in (full, adapter):
        evaluations = [site.results[f"{kind}"]["evaluation"]["loss"] for kind in ("train-1", "train-2", "train-3", "evaluate-3")]
        # Each is of the model that was received, the last one of the last result.
        assert evaluations == sorted(evaluations, reverse=True)
        assert site.results["train-3"]["steps"] == 3
    whole = ranks.LAYERS * 4 * MIB
    for rank in told:
        for shard, found in rank["peaks"].items():
            # A unit of FSDP1 is a layer; gathering needs one more copy of it, and writing or comparing another.
            assert max(found["loading"], found["sending"]) < whole / 2, (shard, rank["peaks"])
        # The system counts in pages, and some were there before.
        assert rank["peaks"]["fsdp2"]["at once"] > whole * 0.9
    assert [found["same"] for found in told[0]["peaks"].values()] == [True, True, True]


# DeepSpeed compiles a library of its own at the first start, for a minute: where it is installed, and not in CI.
if importlib.util.find_spec("deepspeed"):

    @pytest.mark.parametrize("stage", [1, 2, 3])
    def test_zero(stage: int, tmp_path: pathlib.Path) -> None:
        site = site_that_gives_back()
        told = launch(f"zero{stage}", tmp_path, site)
        assert losses_of(site) == told[0]["losses"] and len(told[0]["losses"]) == 9
        own = ranks.make_model().state_dict()
        offered = site.models["offer-0"]
        assert all(torch.equal(offered[name], tensor) for name, tensor in own.items())
        trained = site.models["train-3"]
        assert "lm_head.weight" not in trained and trained["transformer.wte.weight"].dtype == torch.float32
        evaluations = [site.results[f"{kind}"]["evaluation"]["loss"] for kind in ("train-1", "train-2", "train-3", "evaluate-3")]
        assert evaluations == sorted(evaluations, reverse=True)
