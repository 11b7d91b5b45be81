"""Figures on their way to the site: one that the site cannot take is left out and said, and never costs the round."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from fedstream._errors import BridgeError, listed
from fedstream._model import Evaluation

# As the site has them (docs/spec/trainer-bridge.md, "Tasks").
MAX_METRICS = 64
MAX_NAME_CHARACTERS = 64

Say = Callable[[str], None]


class Figures:
    """Makes what a message may carry of what a program gives; each fault is said once."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._said: set[str] = set()

    def metrics(self, given: Mapping[str, Any] | None) -> dict[str, float]:
        """Finite numbers with names that the site takes, the first 64 of them."""
        kept: dict[str, float] = {}
        beyond: list[str] = []
        for key, value in (given or {}).items():
            name = str(key)
            number = number_of(value)
            if not 0 < characters_of(name) <= MAX_NAME_CHARACTERS or name == "__proto__":
                self.say(f"name {name}", f"the metric {name[:100]!r} is left out: a name has 1 to {MAX_NAME_CHARACTERS} characters")
            elif number is None:
                self.say(f"value {name}", f"the metric {name!r} is left out: {_short(value)} is no finite number")
            elif len(kept) == MAX_METRICS:
                beyond.append(name)
            else:
                kept[name] = number
        if beyond:
            self.say("many", f"{listed(beyond)}: left out, since a result has at most {MAX_METRICS} metrics")
        return kept

    def evaluation(self, given: Evaluation | None) -> dict[str, float | int] | None:
        """None where the loss or the number of samples is none; a share that is none is left out alone."""
        if given is None:
            return None
        loss, samples = number_of(given.loss), number_of(given.samples)
        if loss is None or loss < 0:
            self.say("loss", f"the evaluation is left out: its loss is {_short(given.loss)}, and a loss is a finite number of at least 0")
            return None
        if samples is None or samples < 1:
            self.say("samples", f"the evaluation is left out: it is of {_short(given.samples)} samples, and has at least 1")
            return None
        message: dict[str, float | int] = {"loss": loss, "samples": int(samples)}
        if given.exact_match is not None:
            share = number_of(given.exact_match)
            if share is not None and 0 <= share <= 1:
                message["exactMatch"] = share
            else:
                self.say("share", f"exact_match is left out: {_short(given.exact_match)} is no share from 0 to 1")
        return message

    def say(self, fault: str, text: str) -> None:
        if fault not in self._said:
            self._said.add(fault)
            self._say(text)


def number_of(value: Any) -> float | None:
    """A finite number, as JSON has it; None for anything else, an array of several numbers too."""
    if isinstance(value, (str, bytes)):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError):
        return None
    return number if math.isfinite(number) else None


def count_of(value: Any, what: str, least: int) -> int:
    """An integer of at least `least`; raises where it is none, before anything is written."""
    number = number_of(value)
    if number is None or number < least:
        raise BridgeError(f"{what} is {_short(value)}; it is an integer of at least {least}")
    return int(number)


def characters_of(text: str) -> int:
    """As the site counts them: units of UTF-16."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def _short(value: Any) -> str:
    return str(value)[:40]
