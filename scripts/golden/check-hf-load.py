"""Lets a model folder that FedStream wrote answer a question in transformers.

Run: .venv/bin/python scripts/golden/check-hf-load.py runs/latest/model "What is the capital of France?"
"""

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder, question = sys.argv[1], sys.argv[2]
tokenizer = AutoTokenizer.from_pretrained(folder)
model, report = AutoModelForCausalLM.from_pretrained(folder, output_loading_info=True)
assert not report["missing_keys"] and not report["unexpected_keys"], report
text = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True, tokenize=False)
tokens = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
with torch.no_grad():
    answer = model.generate(tokens, max_new_tokens=12, do_sample=False, pad_token_id=tokenizer.pad_token_id)
print(tokenizer.decode(answer[0, tokens.shape[1]:], skip_special_tokens=True))
