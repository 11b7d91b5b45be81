"""The client API against a site, message by message."""

from __future__ import annotations

import numpy as np
import pytest
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
    assert [message["type"] for message in site.messages[:5]] == ["hello", "receive", "log", "step", "result"]
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
