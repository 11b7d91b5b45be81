"""Makes test/golden/llama.safetensors: outputs and gradients of LlamaForCausalLM of transformers
for small random models.

Run:
    python3 -m venv .venv
    .venv/bin/pip install torch transformers safetensors numpy
    .venv/bin/python scripts/golden/make-llama-golden.py
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

CASES = {
    "tied": dict(tie_word_embeddings=True, num_key_value_heads=2, head_dim=8, rope_theta=10000.0),
    "untied": dict(tie_word_embeddings=False, num_key_value_heads=4, head_dim=6, rope_theta=500000.0),
}

tensors = {}
configs = {}
for name, special in CASES.items():
    torch.manual_seed(7)
    config = LlamaConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=44,
        vocab_size=61,
        max_position_embeddings=64,
        rms_norm_eps=1e-5,
        initializer_range=0.2,
        **special,
    )
    model = LlamaForCausalLM(config).to(torch.float32)
    with torch.no_grad():
        for parameter_name, parameter in model.named_parameters():
            if "norm" in parameter_name:
                parameter.uniform_(0.5, 1.5)
    tokens = torch.randint(0, config.vocab_size, (2, 21))
    labels = tokens.clone()
    labels[:, :5] = -100
    output = model(input_ids=tokens, labels=labels)
    output.loss.backward()
    for parameter_name, parameter in model.named_parameters():
        tensors[f"{name}.weight.{parameter_name}"] = parameter.detach().clone().contiguous()
        tensors[f"{name}.gradient.{parameter_name}"] = parameter.grad.detach().clone().contiguous()
    tensors[f"{name}.tokens"] = tokens.to(torch.int32)
    tensors[f"{name}.labels"] = labels.to(torch.int32)
    tensors[f"{name}.logits"] = output.logits.detach().contiguous()
    tensors[f"{name}.loss"] = output.loss.detach().reshape(1)
    configs[name] = json.dumps(config.to_dict())

folder = Path(__file__).resolve().parents[2] / "test" / "golden"
save_file(tensors, folder / "llama.safetensors", metadata=configs)
