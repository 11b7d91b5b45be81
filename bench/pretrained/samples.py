"""Instruction samples for a causal LM: pairs of prompt and answer in the model's own chat format, and the held-out loss of a model on them."""

import json

import torch


def read_pairs(path):
    """JSON lines of prompt and completion, as the bench writes them."""
    with open(path, encoding="utf-8") as file:
        return [(item["prompt"], item["completion"]) for item in map(json.loads, file)]


def encode(path, tokenizer, max_length):
    """The prompt is context, the answer is learnt; what is longer is cut. The bench left out prompts without room for an answer."""
    encoded = []
    for prompt, answer in read_pairs(path):
        before = tokenizer(f"<|im_start|>user\n{prompt}<|im_end|>\n<|im_start|>assistant\n", add_special_tokens=False).input_ids
        after = tokenizer(f"{answer}<|im_end|>\n", add_special_tokens=False).input_ids
        if len(before) + 1 > max_length:
            continue
        ids = (before + after)[:max_length]
        encoded.append({"input_ids": ids, "labels": ([-100] * len(before) + after)[:max_length], "attention_mask": [1] * len(ids)})
    return encoded


@torch.no_grad()
def held_out_loss(model, samples, collate, batch_size=8):
    """Nats a target token over all samples; those of one length together, so that little is padding."""
    was_training = model.training
    model.eval()
    samples = sorted(samples, key=lambda sample: len(sample["input_ids"]))
    total = count = 0.0
    for at in range(0, len(samples), batch_size):
        batch = {name: tensor.to(model.device) for name, tensor in collate(samples[at : at + batch_size]).items()}
        labels = batch.pop("labels")
        with torch.autocast(model.device.type, torch.bfloat16, enabled=model.device.type == "cuda"):
            logits = model(**batch).logits
        targets = labels[:, 1:].reshape(-1)
        losses = torch.nn.functional.cross_entropy(logits[:, :-1].float().flatten(0, 1), targets, ignore_index=-100, reduction="sum")
        total += losses.item()
        count += (targets != -100).sum().item()
    model.train(was_training)
    return total / count
