"""How the situations of several processes and of quantized models are run: `run` of a row's input names one."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Any

import peft
import pytest
import torch
import transformers
from field_runs import Side, Warn, base_model, samples, trainer_of
from launches import launched_fsdp

import fedstream.hf as hf


def ranks(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """Two ranks: `of` the whole model or an adapter in a federation, or what a kind of sharding has in memory at most."""
    told, full, adapter = launched_fsdp()
    if "peak" in given:
        found = [rank["peaks"][given["peak"]] for rank in told]
        return {"same": found[0]["same"], "half": all(max(rank["loading"], rank["sending"]) < 24 << 20 for rank in found)}
    site, alone = (full, told[0]["losses"]) if given["of"] == "model" else (adapter, told[0]["adapter"])
    hellos = [message["type"] for message in site.messages].count("hello")
    return {"programs": hellos, "losses alone": [message["loss"] for message in site.steps()] == alone, "tensors": len(site.models["train-3"])}


def quantized(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """A base in 4 or 8 bits, with an adapter that travels, or by itself."""
    whole = folder / "whole"
    base_model(hidden_size=64, intermediate_size=64).save_pretrained(whole)
    bits = {"load_in_4bit": True} if given["bits"] == 4 else {"load_in_8bit": True}
    config = transformers.BitsAndBytesConfig(**bits, bnb_4bit_compute_dtype=torch.float32, bnb_4bit_quant_type="nf4")
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(whole, quantization_config=config)
    if given["adapter"]:
        model = peft.prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)
        model = peft.get_peft_model(model, peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    else:
        # As someone may do who has met the refusal of transformers.
        monkeypatch.setattr(transformers.trainer, "validate_quantization_for_training", lambda model: None, raising=False)
    base = {name: tensor.detach().clone() for name, tensor in model.named_parameters() if not tensor.requires_grad}
    side: Any = None

    def received(round_number: int) -> Mapping[str, torch.Tensor]:
        offered: dict[str, torch.Tensor] = side.site.models["offer-0"]
        return {name: torch.full_like(tensor, 0.01) for name, tensor in offered.items()}

    side = Side(monkeypatch, [{"kind": "offer", "round": 0}, {"kind": "train", "round": 1}], received, rounds=1)
    trainer = trainer_of(model, folder, samples(0, 4), samples(0, 4))
    side.patch(trainer, local_steps=1)
    assert side.is_running()
    trainer.train()
    assert not hf.is_running()
    sent = side.site.models["train-1"]
    trained = sum(not torch.equal(tensor, torch.full_like(tensor, 0.01)) for tensor in sent.values())
    now = dict(model.named_parameters())
    return {"tensors": len(sent), "trained": trained, "base as it was": all(torch.equal(now[name], tensor) for name, tensor in base.items())}


RUNS_OF_RANKS = {"ranks": ranks, "quantized": quantized}
