"""The program of a site in bench/pretrained.mjs: fine-tuning with transformers' Trainer, a round at a time, of all weights or of an adapter."""

import argparse
import zlib

import fedstream.hf as fedstream
import torch
from samples import encode, held_out_loss
from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq, Trainer, TrainingArguments, set_seed

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--model", required=True)
parser.add_argument("--data", required=True)
parser.add_argument("--held-out", required=True)
parser.add_argument("--output", required=True)
parser.add_argument("--site", required=True)
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--batch-size", type=int, required=True)
parser.add_argument("--accumulate", type=int, required=True)
parser.add_argument("--learning-rate", type=float, required=True)
parser.add_argument("--max-length", type=int, required=True)
parser.add_argument("--rank", type=int, help="trains a LoRA adapter of this rank on all linear layers")
parser.add_argument("--alpha", type=float)
args = parser.parse_args()

tokenizer = AutoTokenizer.from_pretrained(args.model)
tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
collate = DataCollatorForSeq2Seq(tokenizer)
held_out = encode(args.held_out, tokenizer, args.max_length)


class SiteTrainer(Trainer):
    """Evaluates as evaluate.py does: over all target tokens, not batch by batch."""

    def evaluate(self, *_args, **_more):
        loss = held_out_loss(self.model, held_out, collate)
        # The second name is one that the run's summary keeps, site by site.
        return {"eval_loss": loss, "eval_heldOut": loss}


model = AutoModelForCausalLM.from_pretrained(args.model, dtype="auto")
if args.rank is not None:
    from peft import LoraConfig, get_peft_model

    # Whoever offers the adapter, it is the same one for a seed.
    set_seed(args.seed)
    model = get_peft_model(
        model, LoraConfig(r=args.rank, lora_alpha=args.alpha, target_modules="all-linear", lora_dropout=0.0, task_type="CAUSAL_LM")
    )

trainer = SiteTrainer(
    model=model,
    args=TrainingArguments(
        output_dir=args.output,
        per_device_train_batch_size=args.batch_size,
        gradient_accumulation_steps=args.accumulate,
        learning_rate=args.learning_rate,
        lr_scheduler_type="constant",
        weight_decay=0.0,
        # Master weights stay as the model's folder has them; products are in bfloat16 where the hardware is made for it.
        bf16=torch.cuda.is_available(),
        # A site draws its own batches, and in every arm the same.
        seed=zlib.crc32(f"{args.seed} {args.site}".encode()) % 2**31,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
    ),
    data_collator=collate,
    train_dataset=encode(args.data, tokenizer, args.max_length),
    eval_dataset=held_out,
)
# Sites of one machine begin with one model; what differs by seed is the order of the data.
fedstream.patch(trainer)
while fedstream.is_running():
    trainer.evaluate()
    trainer.train()
