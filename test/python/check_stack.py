"""Compares an exported adapter in PEFT with base, stack and adapter added by hand: python check_stack.py RUN ROUND BASE

Prints, as JSON, the rank of the export, and the largest difference of the logits: to the sum by hand, and to the adapter without its stack."""

import json
import sys

import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

run, number, base = sys.argv[1], int(sys.argv[2]), sys.argv[3]
tokens = torch.arange(1, 9)[None]
config = json.load(open(f"{run}/base/adapter_config.json"))
adapter = load_file(f"{run}/global/round-{number:04}.safetensors")
stack = load_file(f"{run}/state/aggregator.lora-{number:04}.safetensors")


def by_hand(with_stack: bool) -> torch.Tensor:
    model = AutoModelForCausalLM.from_pretrained(base).eval()
    scaling = config["lora_alpha"] / config["r"]
    for name in adapter:
        if "lora_A" not in name:
            continue
        product = adapter[name.replace("lora_A", "lora_B")].double() @ adapter[name].double()
        if with_stack:
            product += stack[name.replace("lora_A", "stack_B")].double() @ stack[name.replace("lora_A", "stack_A")].double()
        module = model.get_submodule(name.removeprefix("base_model.model.").split(".lora_A")[0])
        module.weight.data += (scaling * product).float()
    return model(tokens).logits


with torch.no_grad():
    loaded = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), f"{run}/model").eval()
    found = loaded(tokens).logits
    apart = [float((found - by_hand(with_stack)).abs().max()) for with_stack in (True, False)]
print(json.dumps({"rank": json.load(open(f"{run}/model/adapter_config.json"))["r"], "apart": apart[0], "without": apart[1]}))
