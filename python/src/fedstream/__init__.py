"""The client API: what a training program calls to take part in a federation.

    import fedstream

    fedstream.init()
    while fedstream.is_running():
        model = fedstream.receive()
        ...                                    # train on model.params
        fedstream.send(params, samples=1000, steps=10, train_loss=0.5)

A site starts the program (docs/site.md of FedStream); on its own, `init` says so and raises. For transformers' `Trainer` there is `fedstream.hf`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, overload

from fedstream._client import BRIDGE_VARIABLE, Client, Level
from fedstream._errors import BridgeError, NotFederatedError
from fedstream._model import Array, Evaluation, Model, Tensor

if TYPE_CHECKING:
    import torch

    from fedstream._controls import Controls

__all__ = [
    "BRIDGE_VARIABLE",
    "BridgeError",
    "Evaluation",
    "Model",
    "NotFederatedError",
    "controls",
    "current_round",
    "init",
    "is_federated",
    "is_running",
    "job",
    "log",
    "receive",
    "send",
    "site_name",
    "work_folder",
]

_client: Client | None = None


def init(
    initial: Mapping[str, Array | Tensor] | Callable[[], Mapping[str, Array | Tensor]] | None = None,
    *,
    fingerprints: Mapping[str, str] | None = None,
    knows: Collection[str] | None = None,
) -> None:
    """Connects to the site that started this program; a second call does nothing.

    `initial` is the model, or a function that makes it, that the federation begins with where the server has none.
    `fingerprints` tell by name what the training rests on (a base model, a label map): sites that tell another value of one are not averaged. A name
    has 1 to 64 letters, digits, dots, dashes or underscores, a value 1 to 128 characters.
    `knows` names what this program knows beyond plain training: `mu` if it adds `Model.proximal` to its loss, `control` if it uses `controls`,
    `evaluation` if it sends one with each training. A task that needs something else is refused before the training; so is an extra that is not
    named, where this is given.
    Raises `NotFederatedError` where no site started this program.
    """
    global _client
    if _client is None:
        _client = Client.connect(initial)
        _client.about(fingerprints or {}, knows)


def is_federated() -> bool:
    """Whether a site started this program."""
    return Client.address() is not None


def is_running() -> bool:
    """Waits for the next task; False once there are no more. Raises where the last task has no answer yet."""
    return _connected().is_running()


@overload
def receive(framework: Literal["numpy"] = "numpy") -> Model[Array]: ...
@overload
def receive(framework: Literal["torch"]) -> Model[Tensor]: ...
def receive(framework: Literal["numpy", "torch"] = "numpy") -> Model[Any]:
    """The model of the task, mapped from its file: nothing is read before it is used, and writing to a tensor changes only this program's copy.

    BF16 is `torch.bfloat16`, or in NumPy the `bfloat16` of `ml_dtypes`. Tied names are the same tensor.

    `extras` of what is returned are the state dicts that came with the model, by name, and
    `figures` the numbers: `extras["control"]["w"]`, `figures["mu"]`.
    Both are empty for most workflows. An extra is mapped from its file once it is asked for, which
    must be before `send`.
    """
    return _connected().receive(framework)


def send(
    params: Mapping[str, Array | Tensor] | None = None,
    *,
    samples: int = 1,
    steps: int = 0,
    train_loss: float = 0.0,
    evaluation: Evaluation | None = None,
    metrics: Mapping[str, float] | None = None,
    extras: Mapping[str, Mapping[str, Array | Tensor]] | None = None,
) -> None:
    """Answers the task with a model of the same names, dtypes and shapes; for `kind == "evaluate"` only the figures count.

    `samples` is its weight in the average, `train_loss` the mean loss over `steps` steps, `evaluation` that of the model as it was received.
    `extras` are state dicts that go with the model, by name, where the workflow asks for some: at
    most 16, with names of at most 64 letters, digits, dots, dashes and underscores. Raises
    `BridgeError` where a name is none.
    """
    _connected().send(params, samples, steps, train_loss, evaluation, metrics, extras)


def controls(received: Model[Any], module: torch.nn.Module) -> Controls:
    """SCAFFOLD's part of a round in a PyTorch loop, for a model of `receive("torch")`; does nothing where the task has no `control`.

    Call `correct()` of it after each `backward()`, and send `extras=….changes()`. The site's own control variate is kept in `work_folder()`.
    """
    from fedstream._controls import Controls

    return Controls(received, module, work_folder())


def log(
    message: str | None = None,
    *,
    level: Level = "info",
    step: int | None = None,
    loss: float | None = None,
    learning_rate: float = 0.0,
    tokens: int = 0,
) -> None:
    """A line for the site's log, and, where `step` and `loss` are given, a point of the run's loss curve. Without either: progress."""
    _connected().log(message, level, step, loss, learning_rate, tokens)


def site_name() -> str:
    return _connected().site


def current_round() -> int:
    """From 1: the round of the task that was last given."""
    return _connected().current_round


def job() -> Mapping[str, Any]:
    """What the site tells of the job: `seed`, `rounds`, and `train`, wishes that a program may follow."""
    return _connected().job


def work_folder() -> str:
    """A folder of this program's own, kept from run to run."""
    return _connected().folder


def _connected() -> Client:
    if _client is None:
        init()
    assert _client is not None
    return _client
