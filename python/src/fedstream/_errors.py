"""What can go wrong between a training program and its site, and what several places say of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_LISTED = 3


class BridgeError(RuntimeError):
    """The site is gone, or what was asked of it cannot be."""


class NotFederatedError(BridgeError):
    """No site started this program."""


def listed(names: Sequence[str]) -> str:
    """The first few, and how many more there are."""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def refuse_misfit(what: str, faults: Iterable[tuple[Sequence[str], str]]) -> None:
    """Raises where there are names of any fault: what a script has is not what it was given."""
    told = [f"{fault} {listed(names)}" for names, fault in faults if names]
    if told:
        raise BridgeError(f"{what} of this script does not fit the federation's: {'; '.join(told)}")


def refuse_diverged(round_number: int, broken: Sequence[str]) -> None:
    """Raises where there are names of tensors whose values are not finite."""
    if broken:
        raise BridgeError(
            f"the training of round {round_number} has diverged: its loss is not finite, and neither are values of {listed(broken)}; nothing is "
            "sent. Lower the learning rate, or clip the gradients"
        )
