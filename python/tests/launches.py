"""Two ranks on this machine, each with a site that gives back what it was given; a launch serves every test that asks for it."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from typing import Any

import torch
from site_for_tests import FakeSite, train_rounds


@functools.cache
def launched_fsdp() -> tuple[list[Any], FakeSite, FakeSite]:
    """What the ranks tell, the site of a model that is trained as a whole, and that of an adapter."""
    full, adapter = site_that_gives_back(), site_that_gives_back()
    with tempfile.TemporaryDirectory(prefix="fedstream-ranks-") as folder:
        return launch("fsdp", pathlib.Path(folder), full, adapter), full, adapter


def launch(what: str, folder: pathlib.Path, *sites: FakeSite) -> list[Any]:
    """What each rank tells."""
    run_ranks(pathlib.Path(__file__).with_name("ranks_for_tests.py"), what, str(folder), *(site.address for site in sites))
    return [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in (0, 1)]


def run_ranks(script: pathlib.Path, *arguments: str) -> None:
    """Two ranks of a script, to their end."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2", str(script), *arguments]
    # Memory that is let go of is given back at once, so that a peak can be seen.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MALLOC_MMAP_THRESHOLD_": "65536", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, "\n".join(line for line in done.stderr.splitlines() if line.startswith("[rank")) or done.stderr[-3000:]


def site_that_gives_back(rounds: int = 3) -> FakeSite:
    """Offer, rounds and a last evaluation of one site alone, without codecs."""
    site: FakeSite
    tasks = [{"kind": "offer", "round": 0}, *train_rounds(*range(1, rounds + 1)), {"kind": "evaluate", "round": rounds}]

    def given(round_number: int) -> dict[str, torch.Tensor]:
        # The task of evaluation, too, is given the last result.
        last = max((number for number in range(1, rounds + 1) if f"train-{number}" in site.models), default=0)
        found = site.models[f"train-{last}"] if last else site.models["offer-0"]
        # A tensor object for each name, as a state dict has it: tied names stay tied.
        return {name: tensor.detach() for name, tensor in found.items()}

    site = FakeSite(tasks, given, rounds=rounds)
    return site
