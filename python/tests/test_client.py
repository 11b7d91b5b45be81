"""The client API against a site, message by message."""

from __future__ import annotations

import os

import numpy as np
import pytest
import torch
from site_for_tests import FakeSite, train_rounds

import fedstream


def join(monkeypatch: pytest.MonkeyPatch, site: FakeSite) -> FakeSite:
    monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, site.address)
    return site


def one(round_number: int) -> dict[str, np.ndarray]:
    return {"w": np.full(2, round_number, np.float32), "b": np.zeros(1, np.float32)}


def test_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite([*train_rounds(1, 2), {"kind": "evaluate", "round": 2}], one))
    fedstream.init()
    assert fedstream.is_federated() and fedstream.site_name() == "lab" and fedstream.job()["rounds"] == 3
    seen = []
    while fedstream.is_running():
        model = fedstream.receive()
        seen.append((model.kind, model.current_round, fedstream.current_round(), float(model.params["w"][0])))
        model.params["w"] += 10
        fedstream.log("half way", level="warn")
        fedstream.log(step=model.current_round, loss=0.5, learning_rate=0.1)
        figures = {"accuracy": 0.25, "broken": float("nan")}
        fedstream.send(model.params, samples=7, steps=1, train_loss=0.5, evaluation=fedstream.Evaluation(2.0, 3), metrics=figures)
    assert seen == [("train", 1, 1, 1.0), ("train", 2, 2, 2.0), ("evaluate", 2, 2, 2.0)]
    site.thread.join(5)
    assert not fedstream.is_running()
    assert [message["type"] for message in site.messages[:6]] == ["hello", "receive", "log", "step", "log", "result"]
    assert [message["message"] for message in site.messages if message["type"] == "log"].count(
        "the metric 'broken' is left out: nan is no finite number"
    ) == 1
    assert site.messages[2] == {"type": "log", "level": "warn", "message": "half way"}
    assert site.results["train-1"] == {
        "type": "result",
        "task": "train-1",
        "samples": 7,
        "steps": 1,
        "trainLoss": 0.5,
        "evaluation": {"loss": 2.0, "samples": 3},
        "metrics": {"accuracy": 0.25},
    }
    assert site.models["train-2"]["w"].tolist() == [12, 12]
    assert "samples" not in site.results["evaluate-2"] and "evaluate-2" not in site.models


def test_an_initial_model_is_offered_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite([{"kind": "offer", "round": 0}, *train_rounds(1)], one))
    made = []

    def initial() -> dict[str, np.ndarray]:
        made.append(1)
        return one(5)

    fedstream.init(initial)
    assert made == []
    assert fedstream.is_running() and made == [1]
    assert site.models["offer-0"]["w"].tolist() == [5, 5]


@pytest.mark.parametrize("framework", ["numpy", "torch"])
def test_extras_and_figures_come_and_extras_go_back(monkeypatch: pytest.MonkeyPatch, framework: str) -> None:
    task = {"kind": "train", "round": 1, "extras": ["control", "unread"], "figures": {"mu": 0.25}}
    site = FakeSite([task, *train_rounds(2)], one)
    site.extras = {"control": {"w": np.array([1, 2], np.float32)}, "unread": {"w": np.zeros(3, np.float32)}}
    join(monkeypatch, site)
    assert fedstream.is_running()
    model = fedstream.receive("torch") if framework == "torch" else fedstream.receive()
    assert model.figures == {"mu": 0.25}
    assert list(model.extras) == ["control", "unread"] and "control" in model.extras and "model" not in model.extras
    # What is not asked for is not opened.
    os.remove(os.path.join(site.folder, "train-1.safetensors.unread.safetensors"))
    control = model.extras["control"]
    assert control is model.extras["control"] and control["w"].tolist() == [1, 2]
    assert isinstance(control["w"], torch.Tensor if framework == "torch" else np.ndarray)
    with pytest.raises(KeyError):
        model.extras["none"]
    fedstream.send(model.params, extras={"control": {"w": control["w"] * 2}, "seen": {"count": np.array([7], np.int64)}})
    assert fedstream.is_running()
    assert site.results["train-1"]["extras"] == ["control", "seen"]
    assert site.returned["control"]["w"].tolist() == [2, 4] and site.returned["seen"]["count"].tolist() == [7]
    plain = fedstream.receive()
    assert len(plain.extras) == 0 and plain.figures == {}
    fedstream.send(plain.params)
    assert not fedstream.is_running()
    assert "extras" not in site.results["train-2"]


def test_names_of_extras_are_checked_before_a_file_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite(train_rounds(1), one))
    assert fedstream.is_running()
    for name in ["", "..", "../x", "a/b", "__proto__", "x" * 65, "model", "a\n"]:
        with pytest.raises(fedstream.BridgeError, match="an extra cannot be named"):
            fedstream.send(one(1), extras={name: one(1)})
    with pytest.raises(fedstream.BridgeError, match="differ in more than case"):
        fedstream.send(one(1), extras={"a": one(1), "A": one(1)})
    with pytest.raises(fedstream.BridgeError, match="17 extras are too many"):
        fedstream.send(one(1), extras={f"e{number}": one(1) for number in range(17)})
    assert [name for name in os.listdir(site.folder) if name.startswith("result")] == []
    fedstream.send(one(1), extras={"x" * 64: one(1)})


def test_misuse_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(fedstream.NotFederatedError, match="FEDSTREAM_BRIDGE is not set"):
        fedstream.init()
    join(monkeypatch, FakeSite([*train_rounds(1), {"kind": "offer", "round": 0}], one))
    fedstream.init()
    with pytest.raises(fedstream.BridgeError, match="there is no task"):
        fedstream.send(one(1))
    assert fedstream.is_running()
    with pytest.raises(fedstream.BridgeError, match="train-1 has no answer yet"):
        fedstream.is_running()
    with pytest.raises(fedstream.BridgeError, match="tensor b of the model"):
        fedstream.send({"w": np.zeros(2, np.float32)})
    with pytest.raises(fedstream.BridgeError, match="answered with a model"):
        fedstream.send(samples=1)
    fedstream.send(one(1))
    with pytest.raises(fedstream.BridgeError, match="none to offer"):
        fedstream.is_running()


def test_a_site_that_is_gone_ends_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite(train_rounds(1), one))
    fedstream.init()
    site.leave()
    with pytest.raises(fedstream.BridgeError, match="the site is gone"):
        fedstream.is_running()
    monkeypatch.setattr(fedstream, "_client", None)
    monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, "unix:/nowhere/at/all")
    with pytest.raises(fedstream.BridgeError, match="the site is not there"):
        fedstream.init()
