"""The same step with torch and transformers on the CPU, for the lines that engine.mjs takes."""

import json
import resource
import sys
import time

import torch
from transformers import LlamaConfig, LlamaForCausalLM

setting = json.loads(sys.argv[1])
sizes, optimizer_settings = setting["config"], setting["optimizer"]
torch.set_num_threads(setting["threads"])
torch.manual_seed(1)
config = LlamaConfig(
    hidden_size=sizes["hiddenSize"],
    num_hidden_layers=sizes["layers"],
    num_attention_heads=sizes["heads"],
    num_key_value_heads=sizes["kvHeads"],
    head_dim=sizes["headDim"],
    intermediate_size=sizes["ffnSize"],
    vocab_size=sizes["vocabularySize"],
    max_position_embeddings=sizes["maxPositions"],
    tie_word_embeddings=sizes["tied"],
    rope_theta=sizes["ropeTheta"],
    rms_norm_eps=sizes["rmsEps"],
    initializer_range=sizes["initializerRange"],
    use_cache=False,
)
model = LlamaForCausalLM(config).train()
optimizer = torch.optim.AdamW(
    model.parameters(),
    lr=setting["learningRate"],
    betas=(optimizer_settings["beta1"], optimizer_settings["beta2"]),
    eps=optimizer_settings["epsilon"],
    weight_decay=optimizer_settings["weightDecay"],
)
shape = (setting["batch"], setting["sequence"])
tokens = torch.tensor(setting["tokens"]).reshape(shape)
targets = torch.tensor(setting["targets"])


def loss_of():
    logits = model(input_ids=tokens).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets)


def train():
    loss = loss_of()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), optimizer_settings["clipNorm"])
    optimizer.step()
    optimizer.zero_grad()
    return loss.item()


def evaluate():
    with torch.no_grad():
        return loss_of().item()


def say(answer):
    print(json.dumps(answer), flush=True)


say({"torch": torch.__version__})
for line in sys.stdin:
    cpu, started = time.process_time(), time.perf_counter()
    loss = train() if line.strip() == "train" else evaluate()
    seconds, cpu = time.perf_counter() - started, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    say({"seconds": seconds, "cpuSeconds": cpu, "peakMb": peak, "loss": loss})
