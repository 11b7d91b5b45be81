"""Trainers of transformers as the tests have them: on the CPU, quiet, every step logged."""

from __future__ import annotations

import pathlib
from typing import Any

import torch

DATA = [{"input_ids": torch.arange(i, i + 8) % 40, "labels": torch.arange(i, i + 8) % 40} for i in range(24)]


def quiet_trainer(model: Any, folder: pathlib.Path, settings: dict[str, Any], data: Any = DATA, held_out: Any = DATA[:5], **more: Any) -> Any:
    import transformers

    quiet = {
        "output_dir": str(folder),
        "per_device_train_batch_size": 4,
        "learning_rate": 1e-2,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return transformers.Trainer(model, transformers.TrainingArguments(**(quiet | settings)), train_dataset=data, eval_dataset=held_out, **more)
