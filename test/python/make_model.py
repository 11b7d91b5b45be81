"""Makes a tiny causal LM with random weights and a tokenizer: python make_model.py FOLDER llama|gpt2 [dtype] [data.jsonl]"""

import sys

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

folder, kind, dtype = sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "float32"
bpe = Tokenizer(models.BPE())
bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
bpe.decoder = decoders.ByteLevel()
text = ["### Instruction:\n", "\n\n### Response:\n", "What is the capital of Paris reverse sort add one two three four five six seven eight nine ten zero"]
bpe.train_from_iterator(text, trainers.BpeTrainer(vocab_size=320, special_tokens=["<end>"], initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
tokenizer = PreTrainedTokenizerFast(tokenizer_object=bpe, eos_token="<end>", pad_token="<end>")
torch.manual_seed(11)
size = tokenizer.vocab_size
end = {"bos_token_id": 0, "eos_token_id": 0, "pad_token_id": 0}
if kind == "llama":
    config = LlamaConfig(
        vocab_size=size, hidden_size=64, intermediate_size=96, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, **end
    )
    model = LlamaForCausalLM(config)
else:
    # Ties its embedding to its head, and drops out: what evaluates in between must not change the random numbers of the training.
    model = GPT2LMHeadModel(GPT2Config(vocab_size=size, n_embd=48, n_layer=2, n_head=4, n_positions=256, **end))
model.to(getattr(torch, dtype)).save_pretrained(folder)
tokenizer.save_pretrained(folder)
