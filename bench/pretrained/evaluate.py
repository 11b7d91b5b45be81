"""The held-out losses of a model's folder: evaluate.py MODEL MAX_LENGTH [base=FOLDER] KIND=FILE… prints {"KIND": loss}, and what computed it."""

import json
import sys

import torch
import transformers
from samples import encode, held_out_loss

folder, max_length, *named = sys.argv[1:]
base = next((path for kind, _, path in (item.partition("=") for item in named) if kind == "base"), None)
named = [item for item in named if not item.startswith("base=")]
tokenizer = transformers.AutoTokenizer.from_pretrained(base or folder)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = transformers.AutoModelForCausalLM.from_pretrained(base or folder, dtype="auto").to("cuda" if torch.cuda.is_available() else "cpu")
if base is not None:
    from peft import PeftModel

    model = PeftModel.from_pretrained(model, folder)
collate = transformers.DataCollatorForSeq2Seq(tokenizer)
losses = {}
for kind, _, path in (item.partition("=") for item in named):
    losses[kind] = held_out_loss(model, encode(path, tokenizer, int(max_length)), collate)
device = torch.cuda.get_device_name() if torch.cuda.is_available() else f"cpu, {torch.get_num_threads()} threads"
versions = {"python": sys.version.split()[0], "torch": torch.__version__, "transformers": transformers.__version__}
print(json.dumps({"losses": losses, "device": device, "versions": versions}))
