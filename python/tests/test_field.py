"""The situations of test/field/python.json: what people bring to a site in Python, each run as the guide says."""

from __future__ import annotations

import importlib.util
import json
import os
import pathlib
import re
from typing import Any

import pytest

import fedstream.hf as hf

pytest.importorskip("peft")
transformers = pytest.importorskip("transformers")

from field_ranks import RUNS_OF_RANKS  # noqa: E402
from field_runs import RUNS  # noqa: E402

def _can_run(row: dict[str, Any]) -> bool:
    """Packages that a row needs are those of scripts/python-env.mjs: CI cannot do without."""
    needs = row["input"].get("needs")
    return needs is None or importlib.util.find_spec(needs) is not None or "FEDSTREAM_REQUIRE_PYTHON" in os.environ


TABLES = json.loads((pathlib.Path(__file__).parents[2] / "test/field/python.json").read_text("utf-8"))["tables"]
ROWS = [pytest.param(row, id=f"{table['title']}: {row['name']}") for table in TABLES for row in table["rows"] if _can_run(row)]


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal comes before the first step under a federation."""
    training_step = transformers.Trainer.training_step

    def guarded(*args: Any, **more: Any) -> Any:
        assert hf._federation is None, "trained before it was refused"
        return training_step(*args, **more)

    monkeypatch.setattr(transformers.Trainer, "training_step", guarded)


@pytest.mark.parametrize("row", ROWS)
def test_situation(row: dict[str, Any], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    said: list[str] = []
    given = row["input"]

    def run() -> dict[str, Any]:
        return (RUNS | RUNS_OF_RANKS)[given["run"]](given, tmp_path, monkeypatch, said.append)

    if "refusal" in row:
        if not given.get("trains"):
            request.getfixturevalue("untrained")
        with pytest.raises(Exception, match=row["refusal"]):
            run()
        return
    assert run() == row["gives"]
    if "warning" in row:
        assert re.search(row["warning"], "\n".join(said)), said
    else:
        assert said == []
