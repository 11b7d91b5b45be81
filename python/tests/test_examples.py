"""The examples' scripts against a site: they learn, they answer evaluations, and what they send is what they trained."""

from __future__ import annotations

import importlib.util
import os
import pathlib
import subprocess
import sys
from typing import Any

import pytest
import torch
from site_for_tests import FakeSite, train_rounds

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"


# Lightning is one of the packages of scripts/python-env.mjs, and CI cannot do without.
NAMES = ["torch-loop", *(["lightning"] if importlib.util.find_spec("lightning") or "FEDSTREAM_REQUIRE_PYTHON" in os.environ else [])]


@pytest.mark.parametrize("name", NAMES)
def test_an_example_learns(name: str) -> None:
    tasks = [{"kind": "offer", "round": 0}, *train_rounds(1, 2, 3), {"kind": "evaluate", "round": 3}]

    def given(round_number: int) -> dict[str, Any]:
        return list(site.models.values())[-1]

    site = FakeSite(tasks, given)
    environment = os.environ | {"FEDSTREAM_BRIDGE": site.address, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    script = EXAMPLES / name / "train.py"
    done = subprocess.run([sys.executable, str(script)], env=environment, cwd=site.folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    figures = [site.results[task]["evaluation"] for task in ("train-1", "train-2", "train-3", "evaluate-3")]
    assert [figure["samples"] for figure in figures] == [64] * 4
    assert figures[3]["loss"] < figures[0]["loss"] / 2 and figures[3]["exactMatch"] > 0.85
    # 192 samples in batches of 32.
    assert [message["step"] for message in site.steps()] == list(range(1, 19))
    assert all(site.results[f"train-{number}"]["steps"] == 6 for number in (1, 2, 3))
    mean = sum(message["loss"] for message in site.steps()[12:]) / 6
    assert site.results["train-3"]["trainLoss"] == pytest.approx(mean, rel=1e-5)
    models = [site.models[task] for task in ("offer-0", "train-1", "train-2", "train-3")]
    for before, after in zip(models, models[1:], strict=False):
        assert list(before) == list(after)
        assert not any(torch.equal(before[key], after[key]) for key in before if key.endswith("weight"))
