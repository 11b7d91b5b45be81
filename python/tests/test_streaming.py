"""A patched Trainer whose model is exchanged in parts: what is sent after which step, what a merge makes, and what is refused."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
import torch
from site_for_tests import FakeSite
from test_hf import central, make_model, make_trainer

import fedstream
import fedstream.hf as hf
from fedstream import _files
from fedstream.hf._streaming import PartEvents, Parts, mix


def events_of(plan: dict[str, Any], steps: int, rounds: int) -> list[str]:
    """What happens before and after each step."""
    told: list[str] = []
    parts = Parts(
        {"alpha": 0.5, "names": [["a"], ["b"]], **plan},
        steps,
        rounds,
        PartEvents(lambda segment, names: told.append(f"send {segment} {names[0]}"), lambda segment, names: told.append(f"merge {segment} {names[0]}")),
    )
    for step in range(parts.first_step + 1, rounds * steps + 1):
        if parts.step_begins():
            told.append("round")
        told.append(str(step))
        parts.step_ended()
    assert parts.are_over
    return told


@pytest.mark.parametrize(
    ("overlap", "done", "expected"),
    [
        (0, 0, "1 2|send 1 a|merge 1 a|3 4 5|send 2 b|merge 2 b|round|6 7|send 3 a|merge 3 a|8 9 10|send 4 b"),
        (1, 0, "1 2|send 1 a|3|merge 1 a|4 5|send 2 b|round|6|merge 2 b|7|send 3 a|8|merge 3 a|9 10|send 4 b"),
        (2, 0, "1 2|send 1 a|3 4|merge 1 a|5|send 2 b|round|6 7|merge 2 b|send 3 a|8 9|merge 3 a|10|send 4 b"),
        (1, 2, "6 7|send 3 a|8|merge 3 a|9 10|send 4 b"),
    ],
)
def test_parts_are_sent_after_segments_and_merged_so_many_steps_later(overlap: int, done: int, expected: str) -> None:
    found = events_of({"of": 2, "overlap": overlap, "done": done}, 5, 2)
    assert found == [event for group in expected.split("|") for event in (group.split() if group[0].isdigit() else [group])]


@pytest.mark.parametrize(("steps", "overlap"), [(1, 0), (5, 3)])
def test_a_round_that_is_too_short_is_refused(steps: int, overlap: int) -> None:
    with pytest.raises(fedstream.BridgeError, match="its shortest segment has"):
        Parts({"of": 2, "overlap": overlap, "done": 0, "names": [["a"], ["b"]]}, steps, 3, PartEvents(lambda *_: None, lambda *_: None))


def test_a_merge_mixes_floats_and_takes_the_rest() -> None:
    own = {"w": torch.tensor([4.0, 8.0]), "n": torch.tensor([3])}
    mix(own, {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor([7])}, 0.25)
    assert own["w"].tolist() == [1.0, 5.0]
    assert own["n"].tolist() == [7]
    mix(own, {"w": torch.tensor([0.5, 0.25])}, 0.0)
    assert own["w"].tolist() == [0.5, 0.25]


class PartsSite(FakeSite):
    """Gives back each part as it was sent."""

    def __init__(self, model: Any, plan: dict[str, Any], rounds: int) -> None:
        self.parts: dict[int, dict[str, Any]] = {}
        super().__init__([{"kind": "train", "round": 1, "parts": plan}], model, rounds=rounds)

    def answer(self, message: dict[str, Any]) -> dict[str, Any] | None:
        if message["type"] != "part":
            return None
        file = f"{self.folder}/result-train-1.safetensors.{message['segment']}.safetensors"
        self.parts[message["segment"]] = _files.read_torch(file)
        # What is sent at the end of the run is not merged.
        return None if message["segment"] == 6 else {"type": "merge", "task": message["task"], "segment": message["segment"], "model": file}


@pytest.mark.parametrize("alpha", [0.0, 0.5])
def test_a_site_alone_trains_as_without_federation(alpha: float, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One site whose parts come back as they were sent, at once: nothing that is merged changes anything."""
    first = {name: tensor.clone() for name, tensor in make_model().state_dict().items()}
    names = [name for name in first if name != "lm_head.weight"]
    plan = {"of": 2, "overlap": 0, "alpha": alpha, "done": 0, "names": [[name for name in names if ".mlp." in name], [name for name in names if ".mlp." not in name]]}
    site = PartsSite(lambda _: first, plan, 3)
    monkeypatch.setenv(fedstream.BRIDGE_VARIABLE, site.address)
    monkeypatch.setattr(hf, "_federation", None)
    trainer = make_trainer(make_model(), tmp_path / "site")
    hf.patch(trainer, local_epochs=1)
    rounds = 0
    while hf.is_running():
        trainer.evaluate()
        trainer.train()
        rounds += 1
    site.thread.join(10)
    assert rounds == 1
    assert "parts" in next(message for message in site.messages if message["type"] == "about")["knows"]
    assert sorted(site.parts) == [1, 2, 3, 4, 5, 6]
    losses, model = central(make_model, tmp_path / "central")
    found = [(message["step"], round(message["loss"], 4)) for message in site.messages if message["type"] == "step"]
    assert found == [(step, round(loss, 4)) for step, loss in losses]
    expected = model.state_dict()
    for segment in (5, 6):
        assert sorted(site.parts[segment]) == sorted(plan["names"][segment - 5])  # type: ignore[index]
    assert all(torch.equal(site.parts[6][name], expected[name]) for name in site.parts[6])
    figures = [message for message in site.messages if message["type"] == "part"]
    assert [message["steps"] for message in figures] == [3] * 6
    assert all(message["samples"] == 24 and message["trainLoss"] > 0 for message in figures)
