"""Instruction data for a causal LM: the common shapes in, token ids and labels out. Knows nothing of federations."""

import json


def read_samples(path):
    """JSON (an array) or JSON lines, in the shapes of dolly, alpaca, prompt/completion, or messages; as pairs of prompt and answer."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    items = json.loads(text) if text.lstrip().startswith("[") else [json.loads(line) for line in text.splitlines() if line.strip()]
    return [as_pair(item) for item in items]


def as_pair(item):
    if "messages" in item:
        last = max(at for at, message in enumerate(item["messages"]) if message["role"] == "assistant")
        return "\n\n".join(message["content"] for message in item["messages"][:last]), item["messages"][last]["content"]
    if "completion" in item:
        return item["prompt"], item["completion"]
    context = item.get("context") or item.get("input") or ""
    prompt = f"{item['instruction']}\n\n{context}" if context else item["instruction"]
    return prompt, item["response"] if "response" in item else item["output"]


def encode(samples, tokenizer, max_length):
    """The prompt is context, the answer is learnt; what is longer than `max_length` is cut, and a sample without room for its answer left out."""
    encoded = []
    for prompt, answer in samples:
        before = tokenizer(f"### Instruction:\n{prompt}\n\n### Response:\n").input_ids
        after = tokenizer(answer, add_special_tokens=False).input_ids + [tokenizer.eos_token_id]
        if len(before) < max_length:
            ids = (before + after)[:max_length]
            encoded.append({"input_ids": ids, "labels": [-100] * len(before) + ids[len(before) :], "attention_mask": [1] * len(ids)})
    return encoded


def read_data(path, tokenizer, max_length):
    return encode(read_samples(path), tokenizer, max_length)
