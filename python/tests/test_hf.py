"""A patched Trainer: the rounds of a federation are the training without one, cut where rounds end."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from launches import run_ranks
from site_for_tests import FakeSite, train_rounds
from trainers import quiet_trainer

import fedstream
import fedstream.hf as hf
from fedstream.hf._weights import Weights

transformers = pytest.importorskip("transformers")
peft = pytest.importorskip("peft")


def make_model(dropout: float = 0.1) -> Any:
    transformers.set_seed(3)
    config = transformers.GPT2Config(
        vocab_size=40, n_embd=16, n_layer=1, n_head=2, n_positions=16, resid_pdrop=dropout, bos_token_id=0, eos_token_id=0
    )
    return transformers.GPT2LMHeadModel(config)


def make_lora() -> Any:
    return peft.get_peft_model(make_model(), peft.LoraConfig(r=4, target_modules=["c_attn"], fan_in_fan_out=True, task_type="CAUSAL_LM"))


def make_trainer(model: Any, folder: pathlib.Path, **more: Any) -> Any:
    return quiet_trainer(model, folder, {"num_train_epochs": 3, "lr_scheduler_type": "cosine"} | more)


def losses(history: list[dict[str, Any]]) -> list[tuple[int, float]]:
    return [(entry["step"], entry["loss"]) for entry in history if "loss" in entry]


class Federation:
    """A site that gives back what it was given: one site alone, without codecs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, model: Any, tasks: list[dict[str, Any]] | None = None, **more: Any) -> None:
        self.monkeypatch = monkeypatch
        self.model = model
        self.site = FakeSite(tasks if tasks is not None else train_rounds(1, 2, 3), self.given, **more)
        monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, self.site.address)
        monkeypatch.setattr(hf, "_federation", None)
        weights = hf.Federation.__init__.__globals__["Weights"](model)
        self.first = {name: tensor.clone() for name, tensor in weights.tensors().items()}

    def given(self, round_number: int) -> dict[str, Any]:
        return self.site.models.get(f"train-{round_number - 1}", self.first)

    def run(self, trainer: Any, **more: Any) -> FakeSite:
        hf.patch(trainer, **more)
        while hf.is_running():
            trainer.evaluate()
            trainer.train()
        self.site.thread.join(10)
        return self.site


def central(make: Callable[[], Any], folder: pathlib.Path, **more: Any) -> tuple[list[tuple[int, float]], Any]:
    trainer = make_trainer(make(), folder, **more)
    trainer.evaluate()
    trainer.train()
    return losses(trainer.state.log_history), trainer.model


@pytest.mark.parametrize("make", [make_model, make_lora])
@pytest.mark.parametrize("accumulate", [1, 4])
def test_the_losses_are_those_without_federation(
    make: Callable[[], Any], accumulate: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Dropout is on: random numbers must go on too. Four batches a step leave a short one at the end of an epoch.
    expected, whole = central(make, tmp_path, gradient_accumulation_steps=accumulate)
    federation = Federation(monkeypatch, make())
    # What the script began with is replaced by what the site hands over.
    other = make()
    with torch.no_grad():
        for parameter in other.parameters():
            if parameter.requires_grad:
                parameter.mul_(0.5)
    if make is make_lora:
        other.load_state_dict({n: p for n, p in make().state_dict().items() if "lora" not in n}, strict=False)
    trainer = make_trainer(other, tmp_path, num_train_epochs=1, gradient_accumulation_steps=accumulate)
    site = federation.run(trainer)
    assert losses(site.steps()) == expected
    assert len(expected) == 3 * (6 if accumulate == 1 else 2)
    for number in (1, 2, 3):
        result = site.results[f"train-{number}"]
        assert result["samples"] == 24 and result["steps"] == len(expected) // 3
        mean = sum(loss for _, loss in expected[(number - 1) * result["steps"] : number * result["steps"]]) / result["steps"]
        assert result["trainLoss"] == pytest.approx(mean, rel=1e-5)
        assert result["evaluation"]["samples"] == 5
    trained = dict(whole.state_dict())
    for name, tensor in site.models["train-3"].items():
        own = trained[name if name in trained else name.replace(".weight", ".default.weight")]
        assert torch.equal(tensor, own), name


def test_extras_and_figures_of_a_task_change_nothing(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for more in ({}, {"extras": ["control"], "figures": {"nu": 0.5}}):
        tasks = [{"kind": "train", "round": 1, **more}]
        federation = Federation(monkeypatch, make_model(), tasks, rounds=1)
        federation.site.extras = {"control": {"w": torch.ones(2)}}
        site = federation.run(make_trainer(make_model(), tmp_path), local_steps=2)
        assert "extras" not in site.results["train-1"]
        results.append(site.models["train-1"])
        monkeypatch.setattr(fedstream, "_client", None)
    plain, with_extras = results
    assert all(torch.equal(tensor, with_extras[name]) for name, tensor in plain.items())


def test_an_adapter_travels_alone_with_its_configuration(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{"kind": "offer", "round": 0}, *train_rounds(1), {"kind": "evaluate", "round": 1}]
    federation = Federation(monkeypatch, make_lora(), tasks, rounds=1)
    site = federation.run(make_trainer(make_lora(), tmp_path), local_steps=2)
    assert sorted(site.models["train-1"]) == sorted(site.models["offer-0"])
    assert all("lora_" in name for name in site.models["train-1"])
    assert list(site.results["offer-0"]["files"]) == ["adapter_config.json"]
    assert json.loads(site.results["offer-0"]["files"]["adapter_config.json"])["r"] == 4
    assert site.results["evaluate-1"]["evaluation"]["loss"] > 0
    assert "samples" not in site.results["evaluate-1"]


def test_full_weights_travel_once_where_they_are_tied(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = Federation(monkeypatch, make_model(), [{"kind": "offer", "round": 0}]).run(make_trainer(make_model(), tmp_path))
    offered = site.models["offer-0"]
    assert offered["lm_head.weight"] is offered["transformer.wte.weight"]
    config = json.loads(site.results["offer-0"]["files"]["config.json"])
    assert config["architectures"] == ["GPT2LMHeadModel"] and config["model_type"] == "gpt2"


def test_steps_and_reset_state(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Federation(monkeypatch, make_model(0), train={"localSteps": 4}).run(make_trainer(make_model(0), tmp_path))
    assert [message["step"] for message in kept.steps()] == list(range(1, 13))
    rates = [message["learningRate"] for message in kept.steps()]
    # One cosine over all rounds.
    assert rates == sorted(rates, reverse=True) and rates[0] == 1e-2 and rates[-1] < 1e-3
    train = {"localSteps": 4, "optimizerState": "reset"}
    reset = Federation(monkeypatch, make_model(0), train=train).run(make_trainer(make_model(0), tmp_path))
    assert losses(reset.steps())[:5] == losses(kept.steps())[:5]
    assert losses(reset.steps())[5:] != losses(kept.steps())[5:]
    assert [message["learningRate"] for message in reset.steps()] == rates


def test_a_program_that_starts_in_the_middle_goes_on_from_its_checkpoint(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Federation(monkeypatch, make_model())
    site = whole.run(make_trainer(make_model(), tmp_path, save_strategy="epoch"))
    expected = losses(site.steps())
    again = Federation(monkeypatch, make_model(), train_rounds(3), run_folder=site.run_folder)
    again.site.models["train-2"] = site.models["train-2"]
    monkeypatch.setattr(fedstream, "_client", None)
    resumed = again.run(make_trainer(make_model(), tmp_path, save_strategy="epoch"))
    assert losses(resumed.steps()) == expected[12:]
    # Without a checkpoint, steps and learning rate go on, and the optimizer begins anew.
    third = Federation(monkeypatch, make_model(), train_rounds(3))
    third.site.models["train-2"] = site.models["train-2"]
    monkeypatch.setattr(fedstream, "_client", None)
    fresh = third.run(make_trainer(make_model(), tmp_path / "none"))
    assert [m["step"] for m in fresh.steps()] == list(range(13, 19))
    assert [m["learningRate"] for m in fresh.steps()] == pytest.approx([m["learningRate"] for m in resumed.steps()])


def test_a_checkpoint_of_another_moment_of_the_run_is_left_alone(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Two checkpoints in a round: a program that is started again begins the round anew from what it is given.
    first = Federation(monkeypatch, make_model(0), train_rounds(1), rounds=1)
    site = first.run(make_trainer(make_model(0), tmp_path, save_strategy="steps", save_steps=2), local_steps=3)
    assert (tmp_path / "checkpoint-2" / "fedstream.json").exists()
    again = Federation(monkeypatch, make_model(0), train_rounds(1), rounds=1, run_folder=site.run_folder)
    monkeypatch.setattr(fedstream, "_client", None)
    trainer = make_trainer(make_model(0), tmp_path)
    hf.patch(trainer, local_steps=3)
    assert hf.is_running()
    trainer.evaluate()
    trainer.train(resume_from_checkpoint=True)
    assert not hf.is_running()
    again.site.thread.join(10)
    assert again.site.models["train-1"].keys() == site.models["train-1"].keys()
    assert all(torch.equal(tensor, site.models["train-1"][name]) for name, tensor in again.site.models["train-1"].items())
    warnings = again.site.warnings()
    assert len(warnings) == 1 and "checkpoint-3 is not of the beginning of this round (step 0)" in warnings[0]


def test_a_checkpoint_of_another_run_gives_neither_optimizer_nor_weights(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for folder in (tmp_path / "used", tmp_path / "empty"):
        monkeypatch.setattr(fedstream, "_client", None)
        if folder.name == "used":
            # Another run left a checkpoint of the very step at which this one stands.
            Federation(monkeypatch, make_model(0), train_rounds(1), rounds=2).run(
                make_trainer(make_model(0), folder, save_strategy="steps", save_steps=2), local_steps=2
            )
            monkeypatch.setattr(fedstream, "_client", None)
            assert (folder / "checkpoint-2").exists()
        federation = Federation(monkeypatch, make_model(0), train_rounds(2), rounds=2)
        federation.site.models["train-1"] = {name: tensor * 0.5 for name, tensor in federation.first.items()}
        results.append(federation.run(make_trainer(make_model(0), folder), local_steps=2).models["train-2"])
    used, empty = results
    assert all(torch.equal(tensor, empty[name]) for name, tensor in used.items())


def test_what_does_not_fit_is_named(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    federation = Federation(monkeypatch, make_model())
    federation.first = {"transformer.wte.weight": federation.first["transformer.wte.weight"]}
    hf.patch(make_trainer(make_model(), tmp_path))
    with pytest.raises(hf.BridgeError, match="it received no transformer.h.0.attn.c_attn.bias, .* and .* more"):
        hf.is_running()
    monkeypatch.setattr(fedstream, "_client", None)
    federation = Federation(monkeypatch, make_model())
    federation.first["extra"] = torch.zeros(1)
    hf.patch(make_trainer(make_model(), tmp_path))
    with pytest.raises(hf.BridgeError, match="it has no extra"):
        hf.is_running()
    monkeypatch.setattr(hf, "_federation", None)
    with pytest.raises(hf.BridgeError, match="load_best_model_at_end"):
        hf.patch(make_trainer(make_model(), tmp_path, load_best_model_at_end=True, eval_strategy="epoch", save_strategy="epoch"))


def test_a_compiled_model_has_the_names_of_the_model(tmp_path: pathlib.Path) -> None:
    for make in (make_model, make_lora):
        model = make()
        compiled = Weights(torch.compile(model))
        assert list(compiled.tensors()) == list(Weights(model).tensors())
        assert compiled.texts() == Weights(model).texts()


def test_an_exception_in_the_training_is_that_of_train(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Federation(monkeypatch, make_model())
    trainer = make_trainer(make_model(), tmp_path)

    def broken(*args: Any, **more: Any) -> Any:
        raise MemoryError("no more of it")

    trainer.compute_loss = broken
    hf.patch(trainer)
    assert hf.is_running()
    with pytest.raises(MemoryError, match="no more of it"):
        trainer.train()


def test_alone_the_script_trains_centrally(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hf, "_federation", None)
    expected, _ = central(make_model, tmp_path)
    trainer = make_trainer(make_model(), tmp_path)
    hf.patch(trainer, local_epochs=1)
    rounds = 0
    while hf.is_running():
        trainer.evaluate()
        trainer.train()
        rounds += 1
    assert rounds == 1 and losses(trainer.state.log_history) == expected


def test_two_ranks_train_one_model(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    federation = Federation(monkeypatch, make_model(0))
    run_ranks(pathlib.Path(__file__), str(tmp_path))
    site = federation.site
    assert [m["type"] for m in site.messages].count("hello") == 1
    assert sorted(site.results) == ["train-1", "train-2", "train-3"]
    # Every rank has the same model at the end, which is the last result.
    ends = [torch.load(tmp_path / f"rank-{rank}.pt") for rank in (0, 1)]
    for name, tensor in site.models["train-3"].items():
        assert torch.equal(ends[0][name], tensor) and torch.equal(ends[1][name], tensor), name
    # 24 samples in batches of 4 on two ranks: three steps an epoch.
    assert site.results["train-3"]["steps"] == 3


if __name__ == "__main__":
    # A rank of the test above. Rank 1 begins with other weights: those of rank 0 must reach it.
    out = pathlib.Path(sys.argv[1])
    rank = int(os.environ["RANK"])
    model = make_model(0)
    if rank == 1:
        torch.nn.init.zeros_(model.transformer.wte.weight)
    trainer = make_trainer(model, out)
    hf.patch(trainer, local_epochs=1)
    while hf.is_running():
        trainer.evaluate()
        trainer.train()
    torch.save(trainer.model.state_dict(), out / f"rank-{rank}.pt")
    # Threads of a process group that lives on at the end of its process now and then end that with an abort.
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
