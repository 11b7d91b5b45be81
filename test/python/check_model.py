"""Loads a folder in transformers and prints what tells one model from another, as JSON: python check_model.py FOLDER [BASE]

With BASE, FOLDER is a PEFT adapter for it. `logits` are those of the tokens 1, 2, … 8."""

import json
import sys

import torch
from transformers import AutoModelForCausalLM

folder, *base = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(base[0] if base else folder)
if base:
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, folder)
model.eval()
with torch.no_grad():
    logits = model(torch.arange(1, 9)[None]).logits[0]
print(json.dumps({"class": type(model).__name__, "dtype": str(model.dtype), "finite": bool(logits.isfinite().all()), "logits": logits[-1].tolist()}))
