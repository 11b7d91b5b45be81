"""A Trainer in a federation: models in and out, evaluations, figures."""

from __future__ import annotations

import contextlib
import math
import random
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

import fedstream
from fedstream._client import Client, check_weights
from fedstream._errors import BridgeError
from fedstream._model import Evaluation
from fedstream.hf import _checkpoints, _lora, _schedule
from fedstream.hf._evaluations import Evaluations
from fedstream.hf._fingerprints import fingerprints_of
from fedstream.hf._proximal import Proximal
from fedstream.hf._ranks import Ranks
from fedstream.hf._rounds import RoundedTraining, RoundEvents
from fedstream.hf._settings import refuse_length, refuse_settings, unused_limit
from fedstream.hf._sharded import ShardedWeights, is_sharded, refuse_sharding
from fedstream.hf._streaming import PartEvents, Parts, mix
from fedstream.hf._weights import Weights

if TYPE_CHECKING:
    from transformers import Trainer

# Limits of silence are minutes long: progress once a second is often enough.
_PROGRESS_SECONDS = 1.0


class Federation:
    """What `patch` makes of a trainer."""

    def __init__(
        self,
        trainer: Trainer,
        local_epochs: int | None,
        local_steps: int | None,
        keep_state: bool | None,
        samples: int | None,
        adapter: str | None = None,
    ) -> None:
        self._trainer: Any = trainer
        self._alone = Client.address() is None
        self._asked = False
        if self._alone:
            return
        refuse_settings(self._trainer)
        refuse_sharding(self._trainer)
        # One would make a new model when the training begins, in the place of the received one.
        self._trainer.model_init = None
        self._model = self._trainer.model
        self._ranks = Ranks(self._trainer.args.device)
        sharded = is_sharded(self._trainer)
        self._weights = Weights(self._trainer.model, adapter, empty=sharded and not self._ranks.talks)
        self._shards = ShardedWeights(self._trainer, self._weights, self._ranks) if sharded else None
        self._samples = samples
        self._task: dict[str, Any] | None = None
        self._received: dict[str, torch.Tensor] = {}
        self._evaluation: Evaluation | None = None
        self._metrics: dict[str, Any] = {}
        self._evaluating = False
        self._last_progress = 0.0
        self._logged = False
        self._first_round = True
        self._done_before = 0
        self._checkpoint: str | None = None
        self._run = ""
        self._proximal = Proximal(self._trainer, sharded)
        self._ends_at = math.inf
        if self._ranks.talks:
            client = Client.connect(self._offer, self._weights.texts)
            fedstream._client = client
            client.about(fingerprints_of(self._trainer, self._weights.adapter), self._knows())
            self._run = _checkpoints.run_of(client.folder)
        job, self._run = self._ranks.tell((fedstream.job(), self._run) if self._ranks.talks else None)
        self._stack = _lora.prepare(self._weights.model, self._weights.adapter, job.get("lora", "factors"), sharded=sharded)
        wishes = job["train"]
        self._rounds = job["rounds"]
        if local_epochs is None and local_steps is None:
            local_steps, local_epochs = wishes.get("localSteps"), wishes.get("localEpochs")
            if local_steps is None and local_epochs is None:
                local_epochs = 1
        refuse_length(self._trainer, local_epochs)
        self._epochs, self._steps = _schedule.whole_rounds(self._trainer, local_epochs, local_steps)
        self._seconds: float | None = wishes.get("localSeconds")
        self._say(unused_limit(self._trainer, self._epochs, self._steps))
        keep = keep_state if keep_state is not None else wishes.get("optimizerState", "keep") == "keep"
        _schedule.set_length(self._trainer.args, job["rounds"], self._epochs, self._steps)
        self._evaluate = self._trainer.evaluate
        self._evaluations = Evaluations(self._trainer, self._ranks.count, self._say)
        events = RoundEvents(
            on_begin=self._begins,
            on_step=self._progress,
            on_log=self._log,
            on_save=self._mark_checkpoint,
            on_gradients=self._proximal.pull,
            is_over=self._is_over,
            on_next=self._leave_out,
        )
        self._training = RoundedTraining(trainer, self._epochs, self._steps, keep, events)
        self._trainer.train = self._train_round
        self._trainer.evaluate = self._evaluate_received

    def is_running(self) -> bool:
        if self._alone:
            first = not self._asked
            self._asked = True
            return first
        if self._task is not None and self._task["kind"] == "evaluate":
            self._answer_evaluation()
        elif self._task is not None:
            raise BridgeError(f"round {self._task['round']} was not trained: call trainer.train() before the next is_running()")
        self._task = self._shared_task()
        if self._task is None:
            self._training.end()
            return False
        if self._shards is not None and not self._training.is_under_way():
            # Sharded first, then loaded: no rank ever has the whole.
            self._training.prepare(**self._resumed((), {}))
        self._load()
        self._evaluation, self._metrics = None, {}
        return True

    @property
    def _round(self) -> int:
        return int(self._task["round"]) if self._task else 0

    def _next_task(self) -> dict[str, Any] | None:
        if not fedstream.is_running():
            return None
        model = fedstream.receive("torch")
        self._received = model.params
        parts = fedstream._connected().parts
        task: dict[str, Any] = {"kind": model.kind, "round": model.current_round, "mu": model.figures.get("mu", 0.0), "parts": parts}
        if self._stack is not None and _lora.STACK in model.extras:
            task[_lora.STACK] = dict(model.extras[_lora.STACK])
        return task

    def _shared_task(self) -> dict[str, Any] | None:
        """On every rank; in an offer of a sharded model all of them take part."""
        while True:
            task: dict[str, Any] | None = self._ranks.tell(self._next_task() if self._ranks.talks else None)
            if task is None or task["kind"] != "offer":
                return task
            assert self._shards is not None
            self._shards.follow_offer()

    def _offer(self) -> Mapping[str, Any]:
        if self._shards is None:
            return self._weights.tensors()
        self._ranks.tell({"kind": "offer"})
        return self._shards.offered()

    def _load(self) -> None:
        if self._stack is not None and self._task is not None:
            self._stack.load(self._task.get(_lora.STACK))
        if self._shards is not None:
            self._shards.load(self._received if self._ranks.talks else None)
            return
        if self._ranks.talks:
            self._weights.load(self._received)
        if self._ranks.count > 1:
            own = self._weights.tensors()
            self._ranks.share(own[name] for name in sorted(own))

    def _train_round(self, *args: Any, **more: Any) -> Any:
        from transformers.trainer_utils import TrainOutput

        task = self._task
        if task is None:
            raise BridgeError("there is no model to train: call is_running() first")
        if task["kind"] == "evaluate":
            self._answer_evaluation()
            return TrainOutput(self._trainer.state.global_step, 0.0, {})
        if task["parts"] is not None:
            return self._train_parts(task["parts"], args, more)
        if self._first_round:
            args, more = (), self._resumed(args, more)
        self._logged = False
        self._proximal.begin(task.get("mu", 0.0))
        if self._seconds is not None:
            self._ends_at = time.monotonic() + self._seconds
        self._training.run_round(*args, **more)
        self._first_round = False
        loss = self._mean_loss()
        if self._ranks.talks and not self._logged:
            self._log(self._trainer.state.global_step, {"loss": loss})
        with self._shards.sent() if self._shards is not None else contextlib.nullcontext(None) as parts:
            if self._ranks.talks:
                self._warn_of_nothing()
                self._send(parts if parts is not None else self._weights.tensors(), loss)
        self._task = None
        return TrainOutput(self._trainer.state.global_step, loss, {"train_loss": loss})

    def _train_parts(self, plan: dict[str, Any], args: tuple[Any, ...], more: dict[str, Any]) -> Any:
        """To the end of the run, while parts of the model are exchanged."""
        from transformers.trainer_utils import TrainOutput

        rounds = int(self._rounds)
        steps = _schedule.steps_before(self._trainer, 2, self._epochs, self._steps)

        def send(segment: int, names: list[str]) -> None:
            loss = self._mean_loss()
            if self._ranks.talks:
                fedstream._connected().send_part(segment, self._weights.tensors(), names, self._weight(), self._training.steps, loss)
            self._training.count_anew()

        def merge(segment: int, names: list[str]) -> None:
            own = self._weights.tensors()
            if self._ranks.talks:
                mix(own, fedstream._connected().receive_part(segment), float(plan["alpha"]))
            if self._ranks.count > 1:
                self._ranks.share(own[name] for name in sorted(names))

        parts = Parts(plan, steps, rounds, PartEvents(send, merge))
        self._training.run_parts(parts, **self._resumed(args, more, parts.first_step))
        self._first_round = False
        if self._ranks.talks:
            fedstream._connected().end_parts()
        self._task = None
        return TrainOutput(self._trainer.state.global_step, 0.0, {})

    def _send(self, params: Mapping[str, Any], loss: float) -> None:
        fedstream.send(
            params,
            samples=self._weight(),
            steps=self._training.steps,
            train_loss=loss,
            evaluation=self._evaluation,
            metrics=self._metrics,
        )

    def _evaluate_received(self, *args: Any, **more: Any) -> dict[str, float]:
        if self._training.is_inside() or self._task is None or self._evaluating:
            # Of the training itself, or one of a dictionary of sets.
            inside: dict[str, float] = self._evaluate(*args, **more)
            return inside
        self._evaluating = True
        try:
            # One before the training is part of the script, as it is without federation.
            with contextlib.nullcontext() if self._first_round and self._shards is None else _untouched_randomness():
                figures: dict[str, float] = self._evaluate(*args, **more)
        finally:
            self._evaluating = False
        if self._first_round and self._shards is None:
            _forget_preparation(self._trainer)
        given = args[0] if args else more.get("eval_dataset")
        if self._evaluation is None and not self._metrics and self._evaluations.counts(given):
            self._evaluation, self._metrics = self._evaluations.read(given, more.get("metric_key_prefix", "eval"), figures)
        return figures

    def _answer_evaluation(self) -> None:
        """Once: with the figures that there are."""
        if self._task is not None and self._ranks.talks:
            fedstream.send(evaluation=self._evaluation, metrics=self._metrics)
        self._task = None

    def _resumed(self, args: tuple[Any, ...], more: dict[str, Any], done: int | None = None) -> dict[str, Any]:
        """A program that is started in the middle of a run goes on from the trainer's own checkpoint, where it left one."""
        assert self._task is not None
        self._done_before = _schedule.steps_before(self._trainer, self._task["round"], self._epochs, self._steps) if done is None else done
        output = self._trainer.args.output_dir
        self._checkpoint, others, said = _checkpoints.without_resuming(args, more, output, self._done_before, self._run)
        self._say(said)
        return {**others, "resume_from_checkpoint": self._checkpoint} if self._checkpoint else others

    def _begins(self) -> None:
        # A callback may have come after patch().
        refuse_settings(self._trainer)
        if self._shards is None and self._trainer.model is not self._model:
            raise BridgeError("the trainer has another model than at patch(), so the received weights are not trained: call patch() after it has its last")
        if self._checkpoint is not None and self._shards is None:
            # The checkpoint has brought its own weights.
            self._load()
        elif self._checkpoint is None and self._done_before > 0:
            _schedule.skip_to(self._trainer, self._done_before)

    def _knows(self) -> list[str]:
        """What this program knows beyond plain training (docs/spec/trainer-bridge.md of FedStream)."""
        known = {
            _lora.STACK: self._weights.adapter is not None,
            "mu": self._proximal.is_known,
            "evaluation": self._trainer.eval_dataset is not None,
            # A model in shards has no rank that could send a part of it.
            "parts": self._shards is None,
        }
        return [name for name, is_known in known.items() if is_known]

    def _is_over(self) -> bool:
        """Whether the time of the round is over, on every rank as on rank 0."""
        if self._seconds is None:
            return False
        over: bool = self._ranks.tell(time.monotonic() >= self._ends_at)
        return over

    def _leave_out(self) -> None:
        """A round that the clock has ended leaves out the rest of its steps, so that the schedule goes by rounds."""
        if self._seconds is not None and self._task is not None:
            begin = _schedule.steps_before(self._trainer, self._task["round"], self._epochs, self._steps)
            _schedule.advance(self._trainer, max(0, begin - self._trainer.state.global_step))

    def _mean_loss(self) -> float:
        """Over the steps of the round, without batches whose loss is not finite; NaN where no batch has another."""
        training = self._training
        total, lost = self._ranks.mean(training.loss_sum), self._ranks.mean(training.lost)
        if lost == 0:
            return total / max(1, training.steps)
        counted = training.batches - lost
        self._say(f"{lost:g} of {training.batches} batches of round {self._round} have a loss that is not finite; the mean is without them")
        if self._shards is not None:
            self._shards.check_finite(self._round)
        elif self._ranks.talks:
            check_weights(self._weights.tensors(), self._round)
        if counted <= 0 and self._shards is not None:
            # The weights, which are the ranks' together, were looked at here.
            return 0.0
        return total / training.steps * training.batches / counted if counted > 0 else math.nan

    def _mark_checkpoint(self, step: int) -> None:
        if self._ranks.talks:
            _checkpoints.mark(self._trainer.args.output_dir, step, self._run)

    def _warn_of_nothing(self) -> None:
        if self._shards is None and self._training.steps > 0 and self._weights.are_as(self._received):
            self._say(
                f"the training of round {self._round} has changed nothing of what travels: has the optimizer the parameters of this model, and is the "
                "learning rate above 0?"
            )

    def _say(self, text: str | None) -> None:
        """In the site's log."""
        if text is not None and self._ranks.talks:
            fedstream.log(text, level="warn")

    def _weight(self) -> int:
        if self._samples is not None:
            return self._samples
        try:
            return max(1, len(self._trainer.train_dataset))
        except TypeError:
            args = self._trainer.args
            batch = int(args.train_batch_size) * int(args.gradient_accumulation_steps) * self._ranks.count
            return max(1, self._training.steps * batch)

    def _progress(self) -> None:
        now = time.monotonic()
        if self._ranks.talks and now - self._last_progress >= _PROGRESS_SECONDS:
            self._last_progress = now
            fedstream.log()

    def _log(self, step: int, logs: dict[str, float]) -> None:
        if self._ranks.talks and "loss" in logs and step > 0:
            self._logged = True
            fedstream.log(step=step, loss=float(logs["loss"]), learning_rate=float(logs.get("learning_rate", 0.0)))


@contextlib.contextmanager
def _untouched_randomness() -> Iterator[None]:
    """An evaluation between rounds draws random numbers that a training without federation does not."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        yield
    random.setstate(python)
    np.random.set_state(numpy)


def _forget_preparation(trainer: Any) -> None:
    """An evaluation before the training marks the model as prepared, as it is; a training that finds the mark leaves DDP out, and every rank trains
    by itself (accelerate 1.15, transformers 5.18)."""
    vars(trainer.model).pop("_is_accelerate_prepared", None)
    trainer.accelerator.free_memory()
