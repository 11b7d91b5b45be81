"""One training of a Trainer, cut into rounds.

The trainer's own `train()` runs once, over the steps of all rounds, on a thread of its own, and stands still where a round ends: at the first
step of the next one. So whatever it holds lives on as in a training without federation: optimizer, scheduler, the order of the data, random
numbers, gradient scaler. Only the callbacks that transformers documents are used. One of the two threads runs at a time, never both.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from fedstream._errors import BridgeError
from fedstream.hf._streaming import Parts

if TYPE_CHECKING:
    from transformers import Trainer


@dataclass
class RoundEvents:
    """What a federation hears of the training."""

    on_begin: Callable[[], None]
    """The training begins, its optimizer and scheduler are there."""
    on_step: Callable[[], None]
    on_log: Callable[[int, dict[str, float]], None]
    on_save: Callable[[int], None]
    """A checkpoint of that step was written."""
    on_gradients: Callable[[], None] = lambda: None
    """The first gradients of a step are there."""
    is_over: Callable[[], bool] = lambda: False
    """Whether the clock ends the round after this step."""
    on_next: Callable[[], None] = lambda: None
    """The next round begins, in the training that has stood still."""


class _Over(Exception):
    """Ends a training that stands still: there is no next round."""


class RoundedTraining:
    """Runs a trainer's `train()` round by round."""

    def __init__(self, trainer: Trainer, epochs: int | None, steps: int | None, keep_state: bool, events: RoundEvents) -> None:
        self.trainer: Any = trainer
        self.epochs = epochs
        self.steps_a_round = steps
        self.keep_state = keep_state
        self.events = events
        self.steps = 0
        """Of the round so far."""
        self.loss_sum = torch.zeros(())
        self.lost = torch.zeros(())
        """Batches of the round whose loss was not finite; `loss_sum` is without them."""
        self.batches = 0
        self._epochs = 0
        self._parts: Parts | None = None
        self._done = False
        self._over = False
        self._waits = False
        self._first_batch = False
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None
        self._turn = threading.Semaphore(0)
        self._answer = threading.Semaphore(0)
        self._train = self.trainer.train
        trainer.add_callback(_RoundCallback(self))
        self._count_loss()

    def run_round(self, *args: Any, **more: Any) -> None:
        """Trains to the end of the round. What the trainer raises is raised here."""
        if self._thread is not None and not self._thread.is_alive():
            raise BridgeError("the training has ended by itself (early stopping, or max_steps): it has no further round")
        if self._thread is None:
            self._start(args, more)
        else:
            self._turn.release()
        self._answer.acquire()
        if self._failure is not None:
            raise self._failure
        if not self._done:
            raise BridgeError(f"the training ended in the middle of a round, after {self.steps} of its steps")

    def run_parts(self, parts: Parts, *args: Any, **more: Any) -> None:
        """Trains to the end of the run, while parts of the model are exchanged. What the trainer raises is raised here."""
        if self._thread is not None:
            raise BridgeError("the training is under way already: its model cannot be exchanged in parts from here")
        self._parts = parts
        self._start(args, more)
        self._answer.acquire()
        if self._failure is not None:
            raise self._failure
        if not parts.are_over:
            raise BridgeError("the training has ended by itself (early stopping, or max_steps) before the end of the run")

    def count_anew(self) -> None:
        """Steps and losses count from here."""
        self._begin()

    def prepare(self, **more: Any) -> None:
        """Begins the training, which stands still before its first step: model and optimizer are then as the trainer shards them."""
        self._waits = True
        self._start((), more)
        self._answer.acquire()
        if self._failure is not None:
            raise self._failure

    def end(self) -> None:
        """No further round: a training that stands still is given up."""
        if self._thread is None or not self._thread.is_alive():
            return
        self._over = True
        self._turn.release()
        self._thread.join()

    def is_under_way(self) -> bool:
        return self._thread is not None

    def is_inside(self) -> bool:
        """Whether the caller is the training itself, which may evaluate for its own purposes."""
        return threading.current_thread() is self._thread

    def _start(self, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        context = contextvars.copy_context()
        self._thread = threading.Thread(target=context.run, args=(self._run, args, more), name="training", daemon=True)
        self._thread.start()

    def _stand_still(self) -> None:
        self._answer.release()
        self._turn.acquire()
        if self._over:
            raise _Over

    def _run(self, args: tuple[Any, ...], more: dict[str, Any]) -> None:
        # The current device belongs to a thread.
        if self.trainer.args.device.type == "cuda":
            torch.cuda.set_device(self.trainer.args.device)
        try:
            self._train(*args, **more)
        except _Over:
            self.trainer.is_in_train = False
        except BaseException as error:
            self._failure = error
        self._answer.release()

    def _count_loss(self) -> None:
        training_step = self.trainer.training_step

        def counted(*args: Any, **more: Any) -> torch.Tensor:
            loss: torch.Tensor = training_step(*args, **more)
            own = loss.detach()
            finite = own.isfinite()
            self.loss_sum = self.loss_sum.to(own.device) + own.where(finite, torch.zeros_like(own))
            self.lost = self.lost.to(own.device) + ~finite
            self.batches += 1
            if self._first_batch:
                self._first_batch = False
                self.events.on_gradients()
            return loss

        self.trainer.training_step = counted

    # What the callback tells.

    def step_begins(self, optimizer: Any) -> None:
        if self._parts is not None:
            if self._parts.step_begins() and not self.keep_state:
                optimizer.state.clear()
        elif self._done:
            self._stand_still()
            self._begin()
            self.events.on_next()
            if not self.keep_state:
                optimizer.state.clear()
        self._first_batch = True

    def begins(self) -> None:
        self._begin()
        self.events.on_begin()
        if self._waits:
            self._stand_still()

    def step_ended(self) -> None:
        self.steps += 1
        self._done = self.steps == self.steps_a_round or self.events.is_over()
        self.events.on_step()
        if self._parts is not None:
            self._parts.step_ended()

    def epoch_ended(self) -> None:
        self._epochs += 1
        if self.epochs is not None and self._epochs == self.epochs:
            self._done = True

    def _begin(self) -> None:
        self.steps = 0
        self._epochs = 0
        self._done = False
        self.batches = 0
        self.loss_sum = torch.zeros((), device=self.loss_sum.device)
        self.lost = torch.zeros((), device=self.lost.device)


class _RoundCallback(TrainerCallback):  # type: ignore[misc, unused-ignore]
    def __init__(self, rounds: RoundedTraining) -> None:
        self._rounds = rounds

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._rounds.begins()

    def on_step_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._rounds.step_begins(more["optimizer"])

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if control.should_training_stop and state.global_step < state.max_steps:
            raise BridgeError(
                f"a callback of the trainer ended the training at step {state.global_step} of {state.max_steps}, in the middle of the run; a site "
                "trains all its rounds: remove the callback, or give fewer rounds or local_steps"
            )
        self._rounds.step_ended()

    def on_epoch_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._rounds.epoch_ended()

    def on_prediction_step(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        self._rounds.events.on_step()

    def on_save(self, args: Any, state: Any, control: Any, **more: Any) -> None:
        if state.is_world_process_zero:
            self._rounds.events.on_save(state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **more: Any) -> None:
        self._rounds.events.on_log(state.global_step, logs or {})
