"""Makes test/golden/llama-kin.safetensors: logits, gradients and losses of some AdamW steps of the
architectures of transformers that the built-in trainer knows, each from a `config.json` as people
have it. Weights are not stored: both sides make them of the tensors' names.

Run:
    node scripts/python-env.mjs
    .venv/bin/python scripts/golden/make-llama-kin-golden.py
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM

BASE = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 44,
    "vocab_size": 61,
    "max_position_embeddings": 96,
    "rms_norm_eps": 1e-5,
    "hidden_act": "silu",
    "tie_word_embeddings": False,
    "use_cache": True,
    "torch_dtype": "bfloat16",
}
LLAMA = {**BASE, "model_type": "llama", "head_dim": 16}
QWEN2 = {**BASE, "model_type": "qwen2", "use_sliding_window": False, "sliding_window": 4096, "max_window_layers": 28}
QWEN3 = {**BASE, "model_type": "qwen3", "head_dim": 16, "use_sliding_window": False, "sliding_window": None}
SMOLLM3 = {**BASE, "model_type": "smollm3", "num_hidden_layers": 4, "pad_token_id": None}

# Every gradient is kept for these.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "qwen2": {**QWEN2, "tie_word_embeddings": True, "rope_theta": 1000000.0, "pad_token_id": 3},
    "qwen2, window of layer 1": {**QWEN2, "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
    "qwen3": {**QWEN3, "rope_parameters": {"rope_theta": 1000000, "rope_type": "default"}},
    "qwen3, biases, one key head": {**QWEN3, "attention_bias": True, "num_key_value_heads": 1},
    "qwen3, layer types": {
        **QWEN3,
        "use_sliding_window": True,
        "sliding_window": 9,
        "layer_types": ["sliding_attention", "full_attention"],
    },
    "mistral": {**BASE, "model_type": "mistral", "sliding_window": 7, "head_dim": None},
    "mistral, wide window": {**BASE, "model_type": "mistral", "sliding_window": 37, "head_dim": 6},
    "mistral, no window": {**BASE, "model_type": "mistral", "sliding_window": None, "head_dim": 10},
    "llama, biases": {**LLAMA, "attention_bias": True, "mlp_bias": True, "rms_norm_eps": 1e-2},
    "llama, padding in the text": {**LLAMA, "pad_token_id": -1},
    "smollm3": {**SMOLLM3, "tie_word_embeddings": True},
    "smollm3, layers named": {
        **SMOLLM3,
        "no_rope_layers": [0, 1, 1, 0],
        "use_sliding_window": True,
        "sliding_window": 6,
        "attention_bias": True,
        "rope_theta": 5000000.0,
    },
}

# The gradients of q and k of the first layer are kept for these.
ROTARY: dict[str, dict[str, Any]] = {
    "rope default, twice": {
        **LLAMA,
        "rope_parameters": {"rope_theta": 10000.0, "rope_type": "default"},
        "rope_scaling": {"rope_type": "default"},
    },
    "rope theta of old": {**LLAMA, "rope_theta": 500000.0, "rope_scaling": None},
    "rope linear, old": {**LLAMA, "rope_scaling": {"type": "linear", "factor": 2.5}},
    "rope dynamic": {**LLAMA, "rope_scaling": {"type": "dynamic", "factor": 4.0}},
    "rope llama3": {
        **LLAMA,
        "rope_theta": 10000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 64,
        },
    },
    "rope llama3, new": {
        **LLAMA,
        "rope_parameters": {
            "rope_type": "llama3",
            "rope_theta": 5000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 2.0,
            "original_max_position_embeddings": 24,
        },
    },
    "rope yarn": {
        **QWEN2,
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 24},
    },
    "rope yarn, every field": {
        **LLAMA,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 2000.0,
            "factor": 3.0,
            "beta_fast": 16.0,
            "beta_slow": 2.0,
            "mscale": 0.7,
            "mscale_all_dim": 1.3,
            "truncate": False,
            "original_max_position_embeddings": 32,
        },
    },
    "rope yarn, attention factor": {
        **QWEN3,
        "rope_parameters": {
            "rope_type": "yarn",
            "rope_theta": 10000.0,
            "factor": 3.0,
            "attention_factor": 1.25,
            "original_max_position_embeddings": 32,
        },
    },
    "rope longrope": {
        **LLAMA,
        "max_position_embeddings": 320,
        "original_max_position_embeddings": 80,
        "rope_scaling": {
            "type": "longrope",
            "short_factor": [1.0, 1.0, 1.1, 1.2, 1.5, 2.0, 2.5, 3.0],
            "long_factor": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        },
    },
}

# Blocks of attention have 32 rows: with 75, windows skip whole blocks, and the last one is not full.
SEQUENCES = {"mistral": 75, "mistral, wide window": 75, "smollm3, layers named": 40}
STEPS = 5


def weights_of(name: str, shape: torch.Size) -> torch.Tensor:
    """Values that test/golden/llama-kin.test.ts makes too, bit for bit."""
    digest = 2166136261
    for byte in name.encode():
        digest = ((digest ^ byte) * 16777619) % 2**32
    x = (numpy.arange(1, 1 + shape.numel(), dtype=numpy.uint64) * 2654435761 % 2**32) ^ digest
    x ^= x >> 16
    x = x * 0x85EBCA6B % 2**32
    x ^= x >> 13
    x = x * 0xC2B2AE35 % 2**32
    x ^= x >> 16
    values = (x >> 8).astype(numpy.float32) / numpy.float32(2**24) - numpy.float32(0.5)
    if len(shape) > 1:
        values = values * numpy.float32(0.75)
    elif not name.endswith(".bias"):
        values = values + numpy.float32(1)
    return torch.from_numpy(values).reshape(shape)


def model_of(config: dict[str, Any]) -> Any:
    with TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        read = AutoConfig.from_pretrained(folder)
    model = AutoModelForCausalLM.from_config(read, attn_implementation="eager", dtype=torch.float32)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights_of(name, parameter.shape))
    return model


def optimizer_of(model: Any) -> torch.optim.AdamW:
    matrices = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.95), eps=1e-8)


tensors: dict[str, torch.Tensor] = {}
configs: dict[str, str] = {}
for case, config in {**ARCHITECTURES, **ROTARY}.items():
    torch.manual_seed(7)
    model = model_of(config)
    tokens = torch.randint(0, config["vocab_size"], (2, SEQUENCES.get(case, 41)))
    if config.get("pad_token_id") is not None:
        tokens[0, 3::7] = tokens[1, 10] = config["pad_token_id"] % config["vocab_size"]
    labels = tokens.clone()
    labels[:, :5] = -100
    output = model(input_ids=tokens, labels=labels)
    output.loss.backward()
    for name, parameter in model.named_parameters():
        if case in ARCHITECTURES or name.startswith(("model.layers.0.self_attn.q_", "model.layers.0.self_attn.k_")):
            tensors[f"{case}.gradient.{name}"] = parameter.grad.detach().clone().contiguous()
    tensors[f"{case}.tokens"] = tokens.to(torch.int32)
    tensors[f"{case}.logits"] = output.logits.detach().contiguous()
    optimizer = optimizer_of(model)
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = model(input_ids=tokens, labels=labels).loss
        losses.append(loss.detach())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    tensors[f"{case}.losses"] = torch.stack(losses)
    configs[case] = json.dumps(config)

folder = Path(__file__).resolve().parents[2] / "test" / "golden"
save_file(tensors, folder / "llama-kin.safetensors", metadata=configs)
