"""The figures of the trainer's own evaluation: the evaluation of the received model, and what goes with it as metrics."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fedstream._figures import number_of
from fedstream._model import Evaluation


class Evaluations:
    """Watches a trainer's evaluations, so that also those of data without a length have a number of samples."""

    def __init__(self, trainer: Any, ranks: int, say: Callable[[str], None]) -> None:
        self._trainer = trainer
        self._ranks = ranks
        self._say = say
        self._seen: dict[str, int] = {}
        for loop in ("evaluation_loop", "prediction_loop"):
            if hasattr(trainer, loop):
                self._count(loop)

    def counts(self, given: Any) -> bool:
        """Whether an `evaluate(given)` is of the trainer's own held-out data, or of that which the script has in its place."""
        own = self._trainer.eval_dataset
        return given is None or given is own or own is None or isinstance(given, str)

    def read(self, given: Any, prefix: str, figures: Mapping[str, Any]) -> tuple[Evaluation | None, dict[str, Any]]:
        """The evaluation and the metrics. Of a dictionary of sets, the first is the evaluation, and all figures are metrics: `first_loss`, …"""
        data = given if given is not None else self._trainer.eval_dataset
        if isinstance(data, str):
            data = self._trainer.eval_dataset.get(data)
        numbers = {name.removeprefix(f"{prefix}_"): value for name, value in figures.items() if not _is_timing(name)}
        if not isinstance(data, dict):
            loss, share = numbers.pop("loss", None), numbers.pop("exact_match", None)
            return self._evaluation(data, prefix, loss, share, numbers)
        first = next((name for name in data if f"{name}_loss" in numbers), None)
        if first is None:
            return None, numbers
        loss, share = numbers[f"{first}_loss"], numbers.get(f"{first}_exact_match")
        return self._evaluation(data[first], f"{prefix}_{first}", loss, share, dict(numbers))

    def _evaluation(
        self, data: Any, prefix: str, loss: Any, share: Any, metrics: dict[str, Any]
    ) -> tuple[Evaluation | None, dict[str, Any]]:
        number, part = number_of(loss), number_of(share)
        if share is not None and (part is None or not 0 <= part <= 1):
            # A percentage, as some libraries have it.
            metrics["exact_match"], part = share, None
        if loss is None:
            return None, metrics
        if number is not None and number < 0:
            metrics["loss"] = number
        samples = self._samples(data, prefix)
        if samples is None:
            self._say("the evaluation is left out: its data have no length, and the trainer does not count the samples")
            return None, {**metrics, "loss": loss}
        return Evaluation(loss=loss, samples=samples, exact_match=part), metrics

    def _samples(self, data: Any, prefix: str) -> int | None:
        try:
            return len(data)
        except TypeError:
            seen = self._seen.get(prefix)
            return None if seen is None else seen * self._ranks

    def _count(self, loop: str) -> None:
        own = getattr(self._trainer, loop)

        def counted(*args: Any, **more: Any) -> Any:
            output = own(*args, **more)
            self._seen[more.get("metric_key_prefix", "eval")] = int(output.num_samples)
            return output

        setattr(self._trainer, loop, counted)


def _is_timing(name: str) -> bool:
    return name == "epoch" or name.endswith(("runtime", "per_second", "preparation_time"))
