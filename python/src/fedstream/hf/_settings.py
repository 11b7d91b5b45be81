"""Settings of a trainer that do not go with rounds of a federation: refused, or said, before anything is trained."""

from __future__ import annotations

from typing import Any

from fedstream._errors import BridgeError


def refuse_settings(trainer: Any) -> None:
    """Raises for what would end the training or put other weights in their place in the middle of a run."""
    from transformers import EarlyStoppingCallback

    if trainer.args.load_best_model_at_end:
        raise BridgeError(
            "load_best_model_at_end would put an older model in the place of the last round's; the server keeps the best one. Set it to False"
        )
    if any(isinstance(callback, EarlyStoppingCallback) for callback in trainer.callback_handler.callbacks):
        raise BridgeError(
            "EarlyStoppingCallback would end the training of this site in the middle of the run; remove it (trainer.remove_callback): the server "
            "keeps the best model of all rounds"
        )
    if trainer.args.auto_find_batch_size:
        raise BridgeError(
            "auto_find_batch_size begins the training anew whenever memory runs out, in the middle of a run; find the size once without a site, "
            "then set per_device_train_batch_size"
        )


def refuse_length(trainer: Any, epochs: int | None) -> None:
    """Raises for rounds of epochs over data without a length: nobody knows where the steps of all rounds end."""
    from transformers.trainer_utils import has_length

    if epochs is not None and trainer.train_dataset is not None and not has_length(trainer.train_dataset):
        raise BridgeError(
            "the training data have no length, so a round cannot be an epoch of them: give patch(trainer, local_steps=…), or the job localSteps"
        )


def unused_limit(trainer: Any, epochs: int | None, steps: int | None) -> str | None:
    """What is to be said of a max_steps that the rounds replace."""
    most = trainer.args.max_steps
    if most <= 0 or most == steps:
        return None
    length = f"{steps} steps" if steps is not None else f"{epochs} epoch{'' if epochs == 1 else 's'}"
    return f"max_steps={most} of the trainer is not used: a round has {length} (local_steps or local_epochs of patch, or the job's train)"
