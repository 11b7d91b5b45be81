"""Makes test/golden/trl.json: the token ids and labels that TRL's SFTTrainer trains, for each kind of sample.

Run with Python that has trl 1.16, datasets 5.2, transformers 5.24 and torch:
python scripts/golden/make-trl-golden.py
Tokenizers and templates are those of test/golden/chats.json, and templates that TRL knows by their text.
"""

import json
import os
import tempfile
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_CACHE=tempfile.mkdtemp(), OMP_NUM_THREADS="1")

import datasets
import transformers
import trl
from tokenizers import Tokenizer, processors
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import SFTConfig, SFTTrainer, chat_template_utils

GOLDEN = Path(__file__).parent.parent.parent / "test" / "golden"
CHATS = json.loads((GOLDEN / "chats.json").read_text())
KNOWN = {"Qwen 2.5 of TRL": "qwen2_5", "Qwen 3 of TRL": "qwen3", "Gemma of TRL": "gemma", "Phi 3 of TRL": "phi3"}
# The header of an answer opens and ends a thought, which a whole conversation leaves out (Gemma 4, 12B).
EMPTY_THOUGHT = (
    "{% for message in messages %}{{ '<start_of_turn>' + message['role'] + '\n' + message['content'] + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>assistant\n<|thought|><|end|>' }}{% endif %}"
)
TEMPLATES = {
    **{name: [one["eos"], one["template"]] for name, one in CHATS["templates"].items()},
    **{name: ["</s>", getattr(chat_template_utils, f"{short}_chat_template")] for name, short in KNOWN.items()},
    "an empty thought in the header": ["<end_of_turn>", EMPTY_THOUGHT],
    "none": ["</s>", None],
}


def tokenizers():
    base = CHATS["tokenizers"]["byte-level"]
    both = Tokenizer.from_str(json.dumps(base))
    both.post_processor = processors.TemplateProcessing(single="<s> $A </s>", pair="<s> $A $B", special_tokens=[("<s>", 0), ("</s>", 1)])
    return {
        "byte-level": base,
        "llama2": CHATS["tokenizers"]["llama2"],
        "byte-level without BOS": {**base, "post_processor": None},
        "byte-level with BOS and EOS": json.loads(both.to_str()),
    }


TOKENIZERS = tokenizers()
MODEL = LlamaForCausalLM(
    LlamaConfig(vocab_size=512, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1, num_key_value_heads=1)
)


def trained(template, tokenizer, sample, **options):
    """What the trainer's own collator makes of one sample: ids, and the ranges that are learnt."""
    eos, text = TEMPLATES[template]
    made = Tokenizer.from_str(json.dumps(TOKENIZERS[tokenizer]))
    processing = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token=eos)
    processing.chat_template = text
    with tempfile.TemporaryDirectory() as folder:
        config = SFTConfig(output_dir=folder, report_to=[], use_cpu=True, **{"max_length": None, **options})
        trainer = SFTTrainer(MODEL, config, train_dataset=datasets.Dataset.from_list([sample]), processing_class=processing)
        if len(trainer.train_dataset) == 0:
            return {"dropped": True}
        batch = trainer.data_collator([trainer.train_dataset[0]])
    kept = [at for at, seen in enumerate(batch["attention_mask"][0].tolist()) if seen] if "attention_mask" in batch else None
    ids, labels = batch["input_ids"][0].tolist(), batch["labels"][0].tolist()
    if kept is not None:
        ids, labels = [ids[at] for at in kept], [labels[at] for at in kept]
    learnt = []
    for at, (token, label) in enumerate(zip(ids, labels, strict=True)):
        if label == -100:
            continue
        assert label == token
        if learnt and learnt[-1][1] == at:
            learnt[-1][1] = at + 1
        else:
            learnt.append([at, at + 1])
    return {"ids": ids, "learnt": learnt}


def case(kind, template, tokenizer, sample, **options):
    one = {"kind": kind, "template": template, "tokenizer": tokenizer, "sample": sample, "options": options}
    try:
        return {**one, **trained(template, tokenizer, sample, **options)}
    except Exception as error:  # noqa: BLE001 - TRL's own words
        return {**one, "refused": str(error)[:160]}


def said(*contents, system=None):
    start = [{"role": "system", "content": system}] if system else []
    return start + [{"role": ("user", "assistant")[at % 2], "content": content} for at, content in enumerate(contents)]


THREE = said("How are you?", "Fine.", " 12 + 3 ", " 15", "the\nend", "Yes")
TWO = said("Hello there", "Hi!", "And the dog?", "It sleeps.")
SYSTEM = said("And the dog?", "It sleeps.", system="Be kind.")
TURNS = {
    "one answer": (said("Hello there", "I am fine."), 1),
    "the last of three answers": (THREE, 5),
    "an answer after a system prompt": (SYSTEM, 2),
}


def cases():
    for template in TEMPLATES:
        if template in ("none", "tools"):
            continue
        tokenizer = "llama2" if template in ("Mistral", "Zephyr") else "byte-level"
        for name, (messages, at) in TURNS.items():
            yield case(f"completion: {name}", template, tokenizer, {"prompt": messages[:at], "completion": messages[at:]})
        for name, messages in (("two answers", TWO), ("three answers", THREE)):
            yield case(f"assistant_only_loss: {name}", template, tokenizer, {"messages": messages}, assistant_only_loss=True)
    blanks = said("How are you?", "\n  Fine.\n")
    yield case("completion: blanks around an answer", "Qwen 3 of TRL", "byte-level", {"prompt": blanks[:1], "completion": blanks[1:]})
    thought = said("Hello there", "<think>\nHm\n</think>\n\nHi!", "And?", "<think>\nOh\n</think>\n\nSo")
    yield case("completion: thoughts in the answers", "Qwen 3 of TRL", "byte-level", {"prompt": thought[:3], "completion": thought[3:]})
    several = {"prompt": TWO[:1], "completion": TWO[1:]}
    marked = "ChatML with generation marks"
    yield case("completion: several turns", "ChatML", "byte-level", several)
    yield case("completion: several turns, assistant_only_loss", marked, "byte-level", several, assistant_only_loss=True)
    yield case("messages by default", "ChatML", "byte-level", {"messages": TWO})
    yield case("messages by default", marked, "byte-level", {"messages": TWO})
    chat = CHATS["chats"]["tool calls"]
    yield case("completion: an answer after a tool call", "tools", "byte-level", {"prompt": chat["messages"][:3], "completion": chat["messages"][3:], "tools": chat["tools"]})
    for limit in (5, 24):
        yield case("cut", "ChatML with generation marks", "byte-level", {"messages": said("a", "The quick brown fox")}, assistant_only_loss=True, max_length=limit)
    for tokenizer in TOKENIZERS:
        yield case("text", "none", tokenizer, {"text": "Hello there  "})
        yield case("text that ends with EOS", "none", tokenizer, {"text": "Hello there</s>"})
        yield case("text with a special token", "none", tokenizer, {"text": "<s>Hello <|im_end|> there"})
    for template in ("none", "ChatML"):
        yield case("plain prompt and completion", template, "byte-level", {"prompt": "How are you?", "completion": " Fine."})
    yield case("messages by default", "none", "byte-level", {"messages": TWO})
    shared = [{"from": ("human", "gpt")[at % 2], "value": turn["content"]} for at, turn in enumerate(TWO)]
    yield case("conversations of from and value", "ChatML", "byte-level", {"conversations": shared})


(GOLDEN / "trl.json").write_text(
    json.dumps(
        {
            "versions": {"trl": trl.__version__, "transformers": transformers.__version__, "datasets": datasets.__version__},
            "templates": {name: {"eos": eos, "template": text} for name, (eos, text) in TEMPLATES.items() if name not in CHATS["templates"]},
            "tokenizers": {name: made.get("post_processor") for name, made in TOKENIZERS.items()},
            "cases": list(cases()),
        },
        ensure_ascii=False,
    )
    + "\n"
)
