"""Supervised fine-tuning of a causal LM with transformers' Trainer: a LoRA adapter alone is trained and travels."""

import argparse

import fedstream.hf as fedstream
from data import read_data
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True, help="a folder or the name of a causal LM on the hub")
parser.add_argument("--data", required=True, help="instruction data: dolly, alpaca, prompt/completion or messages, JSON or JSONL")
parser.add_argument("--validation", help="data that only evaluates, in the same shapes")
parser.add_argument("--output", default="output")
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--batch-size", type=int, default=8)
parser.add_argument("--learning-rate", type=float, default=2e-4)
parser.add_argument("--rank", type=int, default=16)
parser.add_argument("--max-length", type=int, default=512)
parser.add_argument("--seed", type=int, default=42)
parser.add_argument("--dtype", default="auto", help="auto (as the model's folder has it), float32 or bfloat16")
args = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(args.model)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
model = AutoModelForCausalLM.from_pretrained(args.model, dtype=args.dtype)
set_seed(args.seed)
model = get_peft_model(model, LoraConfig(r=args.rank, lora_alpha=2 * args.rank, target_modules="all-linear", task_type="CAUSAL_LM"))
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=args.output,
        seed=args.seed,
        num_train_epochs=args.epochs,
        per_device_train_batch_size=args.batch_size,
        learning_rate=args.learning_rate,
        lr_scheduler_type="cosine",
        logging_steps=1,
        save_strategy="no",
        report_to=[],
    ),
    data_collator=DataCollatorForSeq2Seq(tokenizer),
    train_dataset=read_data(args.data, tokenizer, args.max_length),
    eval_dataset=read_data(args.validation or args.data, tokenizer, args.max_length),
)
fedstream.patch(trainer, local_epochs=1)
while fedstream.is_running():
    trainer.evaluate()
    trainer.train()
trainer.save_model()
trainer.save_state()
