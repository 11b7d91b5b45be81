"""The trainer's own checkpoints: which one a program that starts in the middle of a run may go on from, and which belong to another training."""

from __future__ import annotations

import json
import os
import pathlib
import uuid
from collections.abc import Mapping
from typing import Any

from fedstream._errors import BridgeError

# In a checkpoint's folder: the run that it is of.
_MARK = "fedstream.json"
# The parameters of Trainer.train, in their order.
_TRAIN = ("resume_from_checkpoint", "trial", "ignore_keys_for_eval")


def run_of(folder: str) -> str:
    """The name of this run: what is kept in the site's folder, which lasts as long as the run."""
    path = pathlib.Path(folder, "run-of-checkpoints")
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}")
        part.write_text(uuid.uuid4().hex)
        part.replace(path)
    return path.read_text()


def mark(output: str, step: int, run: str) -> None:
    """Says in the checkpoint of that step which run it is of."""
    folder = pathlib.Path(output, f"checkpoint-{step}")
    if folder.is_dir():
        (folder / _MARK).write_text(json.dumps({"run": run}))


def own_checkpoint(output: str, step: int, run: str) -> str | None:
    """This run's checkpoint of that step: it has optimizer, scheduler, order of data and random numbers."""
    path = pathlib.Path(output, f"checkpoint-{step}")
    whole = (path / "trainer_state.json").is_file() and (path / "optimizer.pt").is_file()
    return str(path) if step > 0 and whole and _run_in(path) == run else None


def without_resuming(
    args: tuple[Any, ...], more: Mapping[str, Any], output: str, step: int, run: str
) -> tuple[str | None, dict[str, Any], str | None]:
    """The checkpoint that `train(*args, **more)` goes on from, the other arguments, and what is to be said.

    The weights are those that the server gave, whatever a checkpoint has. Raises where the script asks for one of another training, since its
    optimizer and its place in the data are not those of this run.
    """
    given = {**dict(zip(_TRAIN, args, strict=False)), **more}
    asked = given.pop("resume_from_checkpoint", None)
    own = own_checkpoint(output, step, run)
    if asked is None or asked is False:
        return own, given, None
    wanted = _last(output) if asked is True else pathlib.Path(asked)
    if own is not None and (asked is True or (wanted is not None and wanted.resolve() == pathlib.Path(own).resolve())):
        return own, given, None
    if wanted is None:
        return None, given, None
    if _run_in(wanted) == run:
        said = f"{wanted} is not of the beginning of this round (step {step}): the round begins from the model that was received, without it"
        return own, given, said
    raise BridgeError(
        f"train(resume_from_checkpoint={asked!r}) would go on from {wanted}, which is no checkpoint of this run: this one stands at step {step}, with "
        "the weights that the server gave. Call train() without it (a program that is started again goes on from its own checkpoint by itself), "
        "or empty output_dir"
    )


def _run_in(checkpoint: pathlib.Path) -> str | None:
    try:
        found = json.loads((checkpoint / _MARK).read_text())
    except (OSError, ValueError):
        return None
    return found.get("run") if isinstance(found, dict) else None


def _last(output: str) -> pathlib.Path | None:
    from transformers.trainer_utils import get_last_checkpoint

    found = get_last_checkpoint(output) if os.path.isdir(output) else None
    return pathlib.Path(found) if found else None
