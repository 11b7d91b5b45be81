"""How the situations of test/field/python.json are run: tiny models, one process, a site at the other end of the bridge."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from site_for_tests import FakeSite, train_rounds
from torch.utils.data import IterableDataset
from trainers import quiet_trainer

import fedstream
import fedstream.hf as hf
from fedstream import _files
from fedstream.hf._weights import Weights

WORDS = 40
Warn = Callable[[str], None]


def samples(first: int, count: int, more: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    rows = [(torch.arange(i, i + 6) * 7 + first) % WORDS for i in range(count)]
    return [{"input_ids": row, "labels": row, **{name: torch.tensor(value) for name, value in (more or {}).items()}} for row in rows]


def base_model(kind: str = "llama", **more: Any) -> Any:
    torch.manual_seed(5)
    if kind == "plain":
        return PlainModel()
    if kind == "classifier":
        return transformers.BertForSequenceClassification(
            transformers.BertConfig(
                vocab_size=WORDS, hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16, **more
            )
        )
    ends = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
    sizes = {"vocab_size": WORDS, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**(sizes | ends | {"max_position_embeddings": 32} | more)))


class PlainModel(torch.nn.Module):
    """No configuration, no save_pretrained: what a tutorial on Trainer begins with."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(WORDS, 8)
        self.norm = torch.nn.BatchNorm1d(6)
        self.head = torch.nn.Linear(8, WORDS)

    def forward(self, input_ids: torch.Tensor, labels: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        logits = self.head(self.norm(self.embed(input_ids)))
        if labels is None:
            return {"logits": logits}
        return {"loss": torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten()), "logits": logits}


def adapted(given: Mapping[str, Any]) -> Any:
    """The model of a row: `base`, `adapter` (a configuration of PEFT), and what the script does with it."""
    model = base_model(**given.get("base", {}))
    settings = dict(given["adapter"])
    make = getattr(peft, settings.pop("config"))
    config = make(**{"task_type": "CAUSAL_LM", **settings})
    torch.manual_seed(6)
    name = given.get("named", "default")
    if given.get("native"):
        model.add_adapter(config, adapter_name=name)
    elif given.get("mixed"):
        model = peft.get_peft_model(model, config, adapter_name=name, mixed=True)
    else:
        model = peft.get_peft_model(model, config, adapter_name=name)
    for other in given.get("others", []):
        model.add_adapter(other, make(**{"task_type": "CAUSAL_LM", **settings}))
    if "active" in given:
        model.base_model.set_adapter(given["active"])
    for part in given.get("unfrozen", []):
        model.get_submodule(part).requires_grad_(True)
    for part in given.get("frozen", []):
        for parameter_name, parameter in model.named_parameters():
            if part in parameter_name:
                parameter.requires_grad_(False)
    return model


def trainer_of(model: Any, folder: pathlib.Path, data: Any, held_out: Any, callbacks: Any = None, metrics: Any = None, **more: Any) -> Any:
    settings = {
        "per_device_train_batch_size": 2,
        "learning_rate": 0.05,
        "lr_scheduler_type": "constant",
        "max_grad_norm": 0.0,
        "remove_unused_columns": False,
    } | more
    return quiet_trainer(model, folder, settings, data, held_out, callbacks=callbacks, compute_metrics=metrics)


class Side:
    """One site with its trainer. Several take turns in one process: what is global to a program is put back for each."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tasks: list[dict[str, Any]], given: Callable[[int], Mapping[str, Any]], **more: Any) -> None:
        self._monkeypatch = monkeypatch
        self.site = FakeSite(tasks, given, **more)
        self.federation: hf.Federation | None = None
        self.client: Any = None
        self._turn()

    def patch(self, trainer: Any, **more: Any) -> None:
        self._turn()
        hf.patch(trainer, **more)
        self.federation, self.client = hf._federation, fedstream._client

    def is_running(self) -> bool:
        self._turn()
        return hf.is_running()

    def fingerprints(self) -> dict[str, str]:
        found: dict[str, str] = next(message["fingerprints"] for message in self.site.messages if message["type"] == "about")
        return found

    def _turn(self) -> None:
        self._monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, self.site.address)
        self._monkeypatch.setattr(hf, "_federation", self.federation)
        self._monkeypatch.setattr(fedstream, "_client", self.client)


def federated(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """Two sites train an adapter (or all weights) for a round; the average by hand, in float64, is what both have in the next one."""
    if given.get("native"):
        # The versions that are installed here need not fit each other.
        monkeypatch.setattr("transformers.integrations.peft.check_peft_version", lambda **_: None)
    make: Callable[[], Any] = (lambda: adapted(given)) if "adapter" in given else (lambda: base_model(**given["base"]))
    more = {"task_ids": 0} if given.get("tasks") else None
    sides: list[Side] = []
    first: dict[str, torch.Tensor] = {}

    def model_of(round_number: int) -> Mapping[str, Any]:
        return first if round_number == 1 else mean([side.site.model_from("train-1") for side in sides])

    tasks = [{"kind": "offer", "round": 0}, *train_rounds(1, 2)]
    trainers = []
    for number in range(2):
        side = Side(monkeypatch, list(tasks if number == 0 else tasks[1:]), model_of)
        sides.append(side)
        trainer = trainer_of(make(), folder / f"site-{number}", samples(number * 11, 4, more), None, **given.get("arguments", {}))
        side.patch(trainer, local_steps=1, **({"adapter": given["travels"]} if "travels" in given else {}))
        trainers.append(trainer)
    for side, trainer in zip(sides, trainers, strict=True):
        if not first:
            # The offer is answered within this call, before the model of round 1 is asked for.
            side.site.before_model = lambda: first.update(started(sides[0].site.model_from("offer-0")))
        assert side.is_running()
        trainer.train()
    averaged = mean([side.site.model_from("train-1") for side in sides])
    moved = [name for name, tensor in averaged.items() if not torch.equal(tensor, first[name])]
    texts = sides[0].site.results["offer-0"]["files"]
    for side, trainer in zip(sides, trainers, strict=True):
        assert side.is_running()
        check_same(trainer.model, given, averaged, texts, folder, more)
        trainer.train()
        for warning in side.site.warnings():
            warn(warning)
    differ = [name for name, tensor in averaged.items() if not torch.equal(tensor, sides[0].site.model_from("train-2")[name])]
    assert set(differ) == set(moved)
    return {"tensors": len(averaged), "trained": len(moved), "loads": True}


def started(offered: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Other values than those that the sites begin with, so that a load that does nothing is seen."""
    torch.manual_seed(9)
    return {
        name: tensor + 0.05 * torch.randn_like(tensor) if tensor.dtype.is_floating_point else tensor.clone() for name, tensor in offered.items()
    }


def mean(models: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    def of(name: str) -> torch.Tensor:
        tensors = [model[name] for model in models]
        if not tensors[0].dtype.is_floating_point:
            return tensors[0]
        return (sum(tensor.double() for tensor in tensors) / len(tensors)).to(tensors[0].dtype)

    return {name: of(name) for name in models[0]}


def check_same(model: Any, given: Mapping[str, Any], weights: dict[str, torch.Tensor], texts: Mapping[str, str], folder: pathlib.Path, more: Any) -> None:
    """The trainer's model computes what a program does that loads the federation's folder with the library's own means."""
    loaded: Any
    if "adapter" in given:
        saved = folder / "adapter"
        saved.mkdir(exist_ok=True)
        (saved / "adapter_config.json").write_text(texts["adapter_config.json"])
        _files.write(str(saved / "adapter_model.safetensors"), weights)
        loaded = peft.PeftModel.from_pretrained(base_model(**given.get("base", {})), str(saved))
    else:
        loaded = base_model(**given["base"])
        loaded.load_state_dict(weights)
    words = torch.arange(1, 7)[None]
    extra = {name: torch.tensor([value]) for name, value in (more or {}).items()}
    was_training = model.training
    with torch.no_grad():
        answers = [one.eval()(words, **extra) for one in (model, loaded)]
    model.train(was_training)
    logits = [answer["logits"] for answer in answers]
    assert torch.allclose(logits[0], logits[1], atol=1e-6), (logits[0] - logits[1]).abs().max()


class Endless(IterableDataset):  # type: ignore[type-arg]
    """Data without a length."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self.rows)


class Stops(transformers.TrainerCallback):  # type: ignore[misc, unused-ignore]
    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        control.should_training_stop = True


CALLBACKS = {"early stopping": lambda: transformers.EarlyStoppingCallback(), "stops": Stops}


def trained(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """One site trains as the row's script does; what its messages carry."""
    model = adapted(given) if "adapter" in given else base_model(**given.get("base", {}))
    if "labels" in given:
        names = [f"a label with some words in it, number {number}" for number in range(given["labels"])]
        model.config.id2label, model.config.label2id = dict(enumerate(names)), {name: number for number, name in enumerate(names)}
    numbers = {name: float(value) for name, value in given.get("metrics", {}).items()}
    held_out: Any = {
        "list": lambda: samples(3, 5),
        "endless": lambda: Endless(samples(3, 5)),
        "sets": lambda: {"easy": samples(3, 5), "hard": samples(4, 3)},
        "none": lambda: None,
    }[given.get("held_out", "list")]()
    data = samples(1, 8)
    trainer = trainer_of(
        model,
        folder / "output",
        Endless(data) if given.get("endless") else data,
        held_out,
        callbacks=[CALLBACKS[name]() for name in given.get("callbacks", [])],
        metrics=(lambda _: dict(numbers)) if numbers else None,
        **given.get("arguments", {}),
    )
    if given.get("model_init"):
        trainer.model_init = lambda: base_model()
    if given.get("other_optimizer"):
        trainer.optimizer = torch.optim.SGD(base_model().parameters(), lr=0.1)
    if given.get("loss"):
        whole = trainer.compute_loss
        value = float(given["loss"])

        def loss_of(*args: Any, **more: Any) -> Any:
            found = whole(*args, **more)
            # As large as given, with the gradient that it has.
            return (found[0] - found[0].detach() + value, found[1]) if isinstance(found, tuple) else found - found.detach() + value

        trainer.compute_loss = loss_of
    if given.get("old_checkpoint"):
        old_checkpoint(folder / "output")
    rounds = int(given.get("rounds", 1))
    first = {name: tensor.clone() for name, tensor in Weights(model, given.get("patch", {}).get("adapter")).tensors().items()}
    for name in given.get("without", []):
        del first[name]
    for name, dtype in given.get("as", {}).items():
        first[name] = first[name].to(getattr(torch, dtype))
    for name, shape in given.get("shaped", {}).items():
        first[name] = torch.zeros(shape)
    side = Side(monkeypatch, [{"kind": "offer", "round": 0}, *train_rounds(*range(1, rounds + 1))], lambda _: first, rounds=rounds)
    try:
        side.patch(trainer, **given.get("patch", {"local_steps": 1}))
        while side.is_running():
            if held_out is not None:
                trainer.evaluate()
            trainer.train(**given.get("train", {}))
        result = side.site.results[f"train-{rounds}"]
    finally:
        for warning in side.site.warnings():
            warn(warning)
    evaluation = result.get("evaluation", {})
    told = {
        "steps": result["steps"],
        "evaluation": {name: value for name, value in evaluation.items() if name != "loss"} if evaluation else None,
        "metrics": sorted(result["metrics"]),
        "files": sorted(side.site.results["offer-0"]["files"]),
    }
    return {name: told[name] for name in given.get("tells", ["steps"])}


def old_checkpoint(output: pathlib.Path) -> None:
    """As an earlier run, without federation, left it."""
    trainer = trainer_of(base_model(), output, samples(2, 8), None, save_strategy="steps", save_steps=2, max_steps=2)
    trainer.train()


def sent(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """A bare loop sends its figures; what arrives."""
    side = Side(monkeypatch, train_rounds(1), lambda _: {"w": np.ones(2, np.float32)}, rounds=1)
    if "initial" in given:
        fedstream.init({name: np.zeros(shape, np.float32) for name, shape in given["initial"].items()})
    assert fedstream.is_running()
    model = fedstream.receive()
    figures = {name: number(value) for name, value in given.get("figures", {}).items()}
    metrics = {name: number(value) for name, value in given.get("metrics", {}).items()}
    for index in range(int(given.get("many", 0))):
        metrics[f"m{index}"] = 1.0
    evaluation = given.get("evaluation")
    if given.get("log"):
        fedstream.log(**{name: number(value) for name, value in given["log"].items()})
    params = {name: tensor * number(given.get("times", 1)) for name, tensor in model.params.items()}
    try:
        fedstream.send(
            params,
            metrics=metrics,
            evaluation=fedstream.Evaluation(**{name: number(value) for name, value in evaluation.items()}) if evaluation else None,
            **figures,
        )
        assert not fedstream.is_running()
    finally:
        for warning in side.site.warnings():
            warn(warning)
    result = side.site.results["train-1"]
    told = {"metrics": len(result["metrics"]), **{name: result[name] for name in ("samples", "steps", "trainLoss", "evaluation") if name in result}}
    return {name: told.get(name) for name in given["tells"]}


def number(value: Any) -> Any:
    """JSON has no NaN and no infinity."""
    return float(value) if value in ("nan", "inf", "-inf") else value


def compared(given: Mapping[str, Any], folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch, warn: Warn) -> dict[str, Any]:
    """The names of the fingerprints in which two sites differ."""
    told = []
    for place, more in enumerate((given["one"], given["other"])):
        model = adapted(more) if "adapter" in more else base_model(**more.get("base", {}))
        side = Side(monkeypatch, [], lambda _: {})
        if more.get("saved"):
            # The base is a folder of this site's.
            saved = folder / f"base-{place}"
            base = base_model(**more.get("base", {}))
            with torch.no_grad():
                base.model.norm.weight.add_(float(more.get("moved", 0)))
            base.save_pretrained(saved)
            model = peft.get_peft_model(transformers.AutoModelForCausalLM.from_pretrained(saved), peft.LoraConfig(target_modules=["q_proj"]))
        trainer = trainer_of(model, folder / f"site-{place}", samples(1, 2), None)
        trainer.processing_class = Words(more["words"]) if "words" in more else None
        side.patch(trainer, local_steps=1)
        side.is_running()
        told.append(side.fingerprints())
    one, other = told
    return {"differ": sorted(name for name in one.keys() & other.keys() if one[name] != other[name])}


class Words:
    """A tokenizer, as far as its vocabulary goes."""

    def __init__(self, words: list[str]) -> None:
        self._words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: place for place, word in enumerate(self._words)}


RUNS: dict[str, Callable[[Mapping[str, Any], pathlib.Path, pytest.MonkeyPatch, Warn], dict[str, Any]]] = {
    "federated": federated,
    "trained": trained,
    "sent": sent,
    "compared": compared,
}
