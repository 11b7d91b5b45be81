"""A Hugging Face folder from a GGUF file, its weights dequantized: convert.py FILE FOLDER float32|bfloat16."""

import pathlib
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

file, folder, dtype = pathlib.Path(sys.argv[1]), sys.argv[2], getattr(torch, sys.argv[3])
read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
# What came of a GGUF file counts as quantized, and would not be saved: the dequantized weights go into a model without that mark.
config = type(read.config).from_dict({name: value for name, value in read.config.to_dict().items() if name != "quantization_config"})
model = type(read)(config)
model.load_state_dict(read.state_dict())
model.to(dtype).save_pretrained(folder)
AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
