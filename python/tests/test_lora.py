"""A job's `lora` in a patched Trainer: A frozen, and a stack of products beside the base."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import torch
from site_for_tests import FakeSite, train_rounds
from trainers import quiet_trainer

import fedstream
import fedstream.hf as hf
from fedstream._errors import BridgeError
from fedstream.hf._weights import Weights

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")

EVALUATE = {"kind": "evaluate", "round": 1}


def make_lora(target: Any = ("c_attn",), **more: Any) -> Any:
    transformers.set_seed(3)
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16, bos_token_id=0, eos_token_id=0)
    setting = {"r": 4, "lora_alpha": 6, "lora_dropout": 0.0, "fan_in_fan_out": True, "task_type": "CAUSAL_LM"} | more
    return peft.get_peft_model(transformers.GPT2LMHeadModel(config), peft.LoraConfig(target_modules=list(target), **setting))


def stack_for(model: Any, terms: int, seed: int = 5) -> dict[str, torch.Tensor]:
    drawn = torch.Generator().manual_seed(seed)
    found = {}
    for name, tensor in Weights(model).tensors().items():
        stacked = name.replace("lora_", "stack_")
        shape = (terms, tensor.shape[1]) if "lora_A" in name else (tensor.shape[0], terms)
        found[stacked] = torch.randn(shape, generator=drawn)
    return found


@pytest.fixture
def joined(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Any:
    """A site with a job of that `lora`, and the program that has joined it."""

    def join(model: Any, tasks: list[dict[str, Any]], lora: str, extras: dict[str, Any] | None = None) -> tuple[FakeSite, Any]:
        first = {name: tensor.clone() for name, tensor in Weights(model).tensors().items()}
        site = FakeSite(tasks, lambda _: first, rounds=1, lora=lora)
        site.extras = extras or {}
        monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, site.address)
        monkeypatch.setattr(hf, "_federation", None)
        monkeypatch.setattr(fedstream, "_client", None)
        trainer = quiet_trainer(model, tmp_path, {"num_train_epochs": 1})
        hf.patch(trainer, local_steps=2)
        return site, trainer

    return join


def test_ffa_trains_b_alone(joined: Any) -> None:
    model = make_lora()
    before = {name: tensor.clone() for name, tensor in Weights(model).tensors().items()}
    site, trainer = joined(model, train_rounds(1), "ffa")
    while hf.is_running():
        trainer.train()
    site.thread.join(10)
    for name, tensor in site.models["train-1"].items():
        assert torch.equal(tensor, before[name]) == ("lora_A" in name), name


@pytest.mark.parametrize("rslora", [False, True])
def test_exact_adds_the_stack_to_the_base(joined: Any, rslora: bool) -> None:
    model = make_lora(use_rslora=rslora)
    with torch.no_grad():
        for name, tensor in Weights(model).tensors().items():
            tensor.copy_(torch.linspace(-0.2, 0.2, tensor.numel()).reshape(tensor.shape) if "lora_B" in name else tensor)
    stack = stack_for(model, 3)
    site, _ = joined(model, [{**EVALUATE, "extras": ["stack"]}, {**EVALUATE, "round": 2, "extras": ["stack"]}, {**EVALUATE, "round": 3}], "exact", {"stack": stack})
    tokens = torch.arange(8)[None]
    layer = model.get_submodule("base_model.model.transformer.h.0.attn.c_attn")
    base = layer.base_layer.weight.detach().clone()
    plain = model.eval()(tokens).logits.detach()
    for number in (1, 2):
        assert hf.is_running()
        with_stack = model.eval()(tokens).logits.detach()
        # Dense, by hand: Conv1D keeps its weight transposed.
        a, b = (stack[f"base_model.model.transformer.h.0.attn.c_attn.stack_{which}.weight"] for which in "AB")
        scaling = 6 / (4**0.5 if rslora else 4)
        hook = layer.base_layer
        with torch.no_grad():
            hook.weight.add_((scaling * b @ a).T)
            factors = hf._federation._stack._factors  # type: ignore[union-attr]
            kept = dict(factors)
            factors.clear()
            stacked = model.eval()(tokens).logits.detach()
            factors.update(kept)
            hook.weight.copy_(base)
        assert torch.allclose(with_stack, stacked, atol=1e-5), number
        assert not torch.allclose(with_stack, plain, atol=1e-2)
    # Without a stack the base is as it was, to the bit: nothing was added to its weights.
    assert hf.is_running()
    assert torch.equal(model.eval()(tokens).logits.detach(), plain)
    assert torch.equal(layer.base_layer.weight, base)
    assert not hf.is_running()
    site.thread.join(10)


def test_exact_is_not_saved_with_the_model(joined: Any) -> None:
    model = make_lora()
    before = sorted(model.state_dict())
    _, _ = joined(model, [{**EVALUATE, "extras": ["stack"]}], "exact", {"stack": stack_for(model, 2)})
    assert hf.is_running()
    assert sorted(model.state_dict()) == before


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"use_dora": True}, "DoRA divides by a norm of the base"),
        ({"target": ["wte"], "fan_in_fan_out": False}, "is a Embedding"),
    ],
)
def test_exact_refuses_what_it_cannot_add_to(joined: Any, more: dict[str, Any], words: str) -> None:
    with pytest.raises(BridgeError, match=words):
        joined(make_lora(**more), train_rounds(1), "exact")


@pytest.mark.parametrize("wrong", ["shape", "name"])
def test_a_stack_that_does_not_fit_is_refused(joined: Any, wrong: str) -> None:
    model = make_lora()
    stack = stack_for(model, 2)
    if wrong == "name":
        stack["other.stack_A.weight"] = torch.zeros(2, 2)
    else:
        stack = {name: tensor[:, :-1] if "stack_A" in name else tensor for name, tensor in stack.items()}
    joined(model, [{**EVALUATE, "extras": ["stack"]}], "exact", {"stack": stack})
    with pytest.raises(BridgeError, match="does not fit" if wrong == "shape" else "no module for"):
        hf.is_running()


@pytest.mark.parametrize("lora", ["ffa", "exact", "svd"])
def test_a_model_without_lora_is_refused(joined: Any, lora: str) -> None:
    config = transformers.GPT2Config(vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16)
    with pytest.raises(BridgeError, match="has no adapter"):
        joined(transformers.GPT2LMHeadModel(config), train_rounds(1), lora)


def test_a_program_that_does_not_read_the_stack_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    site = FakeSite([{"kind": "train", "round": 1, "extras": ["stack"]}], lambda _: {"w": torch.ones(2)}, rounds=1, lora="exact")
    site.extras = {"stack": {"w": torch.ones(2)}}
    monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, site.address)
    monkeypatch.setattr(fedstream, "_client", None)
    fedstream.init()
    model = fedstream.receive("torch")
    with pytest.raises(BridgeError, match="has not read the stack"):
        fedstream.send(model.params, samples=1, steps=1, train_loss=0.0)
    assert "w" in model.extras["stack"]
    fedstream.send(model.params, samples=1, steps=1, train_loss=0.0)
