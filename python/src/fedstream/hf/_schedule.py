"""Where in the whole training a round stands: how many steps there are, how many were done before this program was started."""

from __future__ import annotations

import math
import warnings
from typing import Any


def set_length(args: Any, rounds: int, epochs: int | None, steps: int | None) -> None:
    """The trainer's own limits become those of the whole run, so that its schedule runs once over all rounds."""
    if steps is not None:
        args.max_steps = rounds * steps
    else:
        assert epochs is not None
        args.max_steps = -1
        args.num_train_epochs = rounds * epochs


def steps_before(trainer: Any, round_number: int, epochs: int | None, steps: int | None) -> int:
    """Optimizer steps of the rounds before."""
    if steps is not None:
        return (round_number - 1) * steps
    return (round_number - 1) * (epochs or 1) * steps_an_epoch(trainer)


def steps_an_epoch(trainer: Any) -> int:
    batches = len(trainer.get_train_dataloader())
    return max(1, math.ceil(batches / int(trainer.args.gradient_accumulation_steps)))


def whole_rounds(trainer: Any, epochs: float | None, steps: int | None) -> tuple[int | None, int | None]:
    """Passes and steps of a round; parts of a pass (0.5) are steps, as in the built-in trainer."""
    if steps is not None or epochs is None or float(epochs).is_integer():
        return (None, steps) if steps is not None else (None if epochs is None else int(epochs), None)
    return None, max(1, int(steps_an_epoch(trainer) * epochs + 0.5))


def skip_to(trainer: Any, step: int) -> None:
    """Without a checkpoint, the learning rate and the count of steps go on from there; the optimizer begins anew."""
    advance(trainer, step - trainer.state.global_step)


def advance(trainer: Any, missing: int) -> None:
    """Leaves out steps: of the rounds before, or those that the clock has kept a round from."""
    trainer.state.global_step += missing
    schedule = getattr(trainer.lr_scheduler, "scheduler", trainer.lr_scheduler)
    with warnings.catch_warnings():
        # PyTorch warns of a schedule that is ahead of its optimizer, which is what is wanted here.
        warnings.simplefilter("ignore")
        for _ in range(missing):
            schedule.step()
