"""Algorithms for sites that differ, on real torch: FedProx against its closed form, SCAFFOLD against the paper's option II, rounds that a clock ends."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import torch
from site_for_tests import FakeSite, train_rounds
from trainers import quiet_trainer

import fedstream
import fedstream.hf as hf

RATE, STEPS, MU = 0.1, 12, 0.7
TARGET = torch.tensor([1.0, -2.0, 3.0])
START = torch.tensor([0.5, 0.5, -1.0])


class Pulled(torch.nn.Module):
    """`½ ‖w − target‖²`, whatever the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(START.clone())

    def forward(self, input_ids: Any = None, labels: Any = None) -> dict[str, torch.Tensor]:
        return {"loss": 0.5 * (self.w - TARGET).square().sum()}


def near(steps: int, mu: float, start: torch.Tensor = START) -> torch.Tensor:
    """Gradient descent on the loss with the proximal term around `start`: it goes to (target + mu start) / (1 + mu) by (1 − rate (1 + mu)) a step."""
    end = (TARGET + mu * start) / (1 + mu)
    return end + (1 - RATE * (1 + mu)) ** steps * (start - end)


def join(monkeypatch: pytest.MonkeyPatch, site: FakeSite) -> FakeSite:
    monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, site.address)
    monkeypatch.setattr(fedstream, "_client", None)
    monkeypatch.setattr(hf, "_federation", None)
    return site


def test_the_proximal_term_in_a_loop_has_its_closed_form(monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{"kind": "train", "round": 1, "figures": {"mu": MU}}, {"kind": "train", "round": 2}]
    site = join(monkeypatch, FakeSite(tasks, lambda _: {"w": START}))
    fedstream.init(knows=["mu"])
    module = Pulled()
    while fedstream.is_running():
        received = fedstream.receive("torch")
        module.load_state_dict(received.params)
        optimizer = torch.optim.SGD(module.parameters(), RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            (module()["loss"] + received.proximal(module)).backward()
            optimizer.step()
        fedstream.send(module.state_dict(), steps=STEPS)
    torch.testing.assert_close(site.model_from("train-1")["w"], near(STEPS, MU))
    torch.testing.assert_close(site.model_from("train-2")["w"], near(STEPS, 0.0))
    assert {"type": "about", "fingerprints": {}, "knows": ["mu"]} in site.messages


def test_the_proximal_term_names_what_it_cannot_hold() -> None:
    received = fedstream.Model({"other": START}, "train", 1, 1, figures={"mu": 1.0})
    with pytest.raises(fedstream.BridgeError, match="w of the module were not received"):
        received.proximal(Pulled())


def federate(trainer: Any, site: FakeSite, **more: Any) -> FakeSite:
    hf.patch(trainer, **more)
    while hf.is_running():
        trainer.train()
    site.thread.join(10)
    return site


def trainer_of(folder: pathlib.Path, **more: Any) -> Any:
    settings = {"num_train_epochs": 1, "learning_rate": RATE, "lr_scheduler_type": "constant", "max_grad_norm": 0.0, "optim": "sgd"} | more
    return quiet_trainer(Pulled(), folder, settings)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_a_patched_trainer_follows_mu_by_itself(accumulate: int, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{"kind": "train", "round": 1, "figures": {"mu": MU}}, {"kind": "train", "round": 2, "figures": {"mu": MU}}, *train_rounds(3)]
    other = START + 1
    site = join(monkeypatch, FakeSite(tasks, lambda number: {"w": other if number == 2 else START}))
    trainer = trainer_of(tmp_path, gradient_accumulation_steps=accumulate)
    federate(trainer, site, local_steps=STEPS)
    torch.testing.assert_close(site.models["train-1"]["w"], near(STEPS, MU))
    # The second round is held by what it received, not by the first.
    torch.testing.assert_close(site.models["train-2"]["w"], near(STEPS, MU, other))
    torch.testing.assert_close(site.models["train-3"]["w"], near(STEPS, 0.0))
    about = next(message for message in site.messages if message["type"] == "about")
    assert about["knows"] == ["evaluation", "mu", "parts"]


def test_the_proximal_term_comes_before_the_clipping(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = [{"kind": "train", "round": 1, "figures": {"mu": 50.0}}]
    site = join(monkeypatch, FakeSite(tasks, lambda _: {"w": START}, rounds=1))
    federate(trainer_of(tmp_path, max_grad_norm=0.5), site, local_steps=3)
    expected = START.clone()
    for _ in range(3):
        gradient = expected - TARGET + 50.0 * (expected - START)
        expected = expected - RATE * gradient * min(1.0, 0.5 / (float(gradient.norm()) + 1e-6))
    torch.testing.assert_close(site.models["train-1"]["w"], expected)


def test_controls_are_option_two_of_the_paper(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = {1: torch.tensor([0.3, -0.1, 0.2]), 3: torch.tensor([-0.2, 0.4, 0.1])}
    tasks = [{"kind": "train", "round": number, "extras": ["control"]} for number in server]
    site = join(monkeypatch, FakeSite(tasks, lambda _: {"w": START, "mask": torch.ones(2)}))
    fedstream.init(knows=["control"])
    own = torch.zeros(3)
    module = Pulled()
    for number, control in server.items():
        site.extras = {"control": {"w": control, "mask": torch.zeros(2)}}
        assert fedstream.is_running()
        received = fedstream.receive("torch")
        module.load_state_dict({"w": received.params["w"]})
        controls = fedstream.controls(received, module)
        optimizer = torch.optim.SGD(module.parameters(), RATE)
        for _ in range(STEPS):
            optimizer.zero_grad()
            module()["loss"].backward()
            controls.correct()
            optimizer.step()
        fedstream.send({**module.state_dict(), "mask": received.params["mask"]}, steps=STEPS, extras=controls.changes())
        trained = site.model_from(f"train-{number}")["w"]
        after = own - control + (START - trained) / (STEPS * RATE)
        torch.testing.assert_close(site.returned["control"]["w"], after - own)
        assert not site.returned["control"]["mask"].any()
        own = after
    kept = sorted(path.name for path in pathlib.Path(site.run_folder).glob("control-*.safetensors"))
    assert kept == ["control-1.safetensors", "control-3.safetensors"]


def test_without_control_nothing_is_added_and_nothing_sent(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    join(monkeypatch, FakeSite(train_rounds(1), lambda _: {"w": START}))
    fedstream.init()
    module = Pulled()
    controls = fedstream.controls(fedstream.receive("torch"), module)
    module()["loss"].backward()
    controls.correct()
    torch.testing.assert_close(module.w.grad, START - TARGET)
    assert controls.changes() == {}
    fedstream.send({"w": START})


def test_the_clock_ends_rounds_and_the_schedule_goes_by_rounds(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite(train_rounds(1, 2, 3), lambda _: {"w": START}, train={"localSteps": 4, "localSeconds": 1e-6}))
    federate(trainer_of(tmp_path, lr_scheduler_type="linear"), site)
    assert [site.results[f"train-{number}"]["steps"] for number in (1, 2, 3)] == [1, 1, 1]
    # Of twelve steps the first of each round: the others are left out.
    assert [(message["step"], pytest.approx(message["learningRate"])) for message in site.steps()] == [(1, RATE), (5, RATE * 8 / 12), (9, RATE * 4 / 12)]


def test_parts_of_a_pass_are_steps(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = join(monkeypatch, FakeSite(train_rounds(1), lambda _: {"w": START}, train={"localEpochs": 0.5}, rounds=1))
    federate(trainer_of(tmp_path), site)
    assert site.results["train-1"]["steps"] == 3
