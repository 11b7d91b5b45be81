"""A Hugging Face `Trainer` in a federation, by three lines:

    import fedstream.hf as fedstream

    fedstream.patch(trainer, local_epochs=1)
    while fedstream.is_running():
        trainer.evaluate()
        trainer.train()

Full weights travel, or the adapter alone where the model has one of PEFT. Started on its own, without a site, the same script trains centrally:
`is_running()` is true once, and `train()` is the trainer's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fedstream import current_round, is_federated, job, log, site_name, work_folder
from fedstream._errors import BridgeError, NotFederatedError
from fedstream.hf._federation import Federation

if TYPE_CHECKING:
    from transformers import Trainer

__all__ = [
    "BridgeError",
    "NotFederatedError",
    "current_round",
    "is_federated",
    "is_running",
    "job",
    "log",
    "patch",
    "site_name",
    "work_folder",
]

_federation: Federation | None = None


def patch(
    trainer: Trainer,
    *,
    local_epochs: int | None = None,
    local_steps: int | None = None,
    keep_state: bool | None = None,
    samples: int | None = None,
    adapter: str | None = None,
) -> None:
    """Makes `trainer.train()` one round of the federation, and `trainer.evaluate()` the evaluation of the model that was received.

    A round has `local_epochs` passes over the training data or `local_steps` optimizer steps; without either, what the job asks for, or one epoch.
    The learning rate follows its schedule over all rounds. `keep_state` keeps the optimizer's state from round to round; by default as the job says
    (`train.optimizerState`, which is `keep`). `samples` is the weight in the average, by default the number of training samples.
    `adapter` names the one that travels where the model has several; by default it is the active one.

    Raises `BridgeError`, before anything is trained, for an adapter of a kind that cannot be handed over, parameters that would be trained and stay
    here, and settings that end a training in the middle (early stopping, the best model at the end).

    Call it once, before the first `train()`; under `torchrun` or `accelerate launch` in every process: rank 0 talks, the others follow.
    """
    global _federation
    if _federation is not None:
        raise ValueError("a trainer is patched already; one program has one")
    if local_epochs is not None and local_steps is not None:
        raise ValueError("a round has local_epochs or local_steps, not both")
    _federation = Federation(trainer, local_epochs, local_steps, keep_state, samples, adapter)


def is_running() -> bool:
    """Waits for the next global model and loads it into the trainer's model; False once there are no more."""
    if _federation is None:
        raise ValueError("call patch(trainer) first")
    return _federation.is_running()
