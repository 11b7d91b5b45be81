"""Makes test/golden/tokens.json and test/golden/chats.json: token ids and masks of the reference.

Run with the Python of the interop tests: .venv/bin/python scripts/golden/make-tokens-golden.py
Tokenizers are trained here on a few sentences, so that the files stay small.
"""

import json
from pathlib import Path

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

OUT = Path(__file__).parent.parent.parent / "test" / "golden"
CORPUS = [
    "The quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    "Hello there! How are you today? I am fine, thank you. user assistant system model",
    "Numbers 1234 and 56.78; grün über straße; naïve café.",
    "def f(x):\n    return x + 1\n\nprint(f(2))",
    "the the the there them then this that these those",
] * 4


def trained(tokenizer, trainer):
    tokenizer.train_from_iterator(CORPUS, trainer)
    return tokenizer


def llama2():
    t = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    t.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    specials = ["<unk>", "<s>", "</s>"] + [f"<0x{b:02X}>" for b in range(256)]
    trained(t, trainers.BpeTrainer(vocab_size=420, special_tokens=specials, show_progress=False))
    j = json.loads(t.to_str())
    j["added_tokens"] = j["added_tokens"][:3]
    return Tokenizer.from_str(json.dumps(j))


def byte_level(specials, extra=(), prefix=False, normalizer=None):
    t = Tokenizer(models.BPE())
    t.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    t.decoder = decoders.ByteLevel()
    if normalizer:
        t.normalizer = normalizer
    trained(
        t,
        trainers.BpeTrainer(
            vocab_size=340, special_tokens=specials, show_progress=False, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    if extra:
        t.add_tokens(list(extra))
    return t


def metaspace():
    t = Tokenizer(models.BPE(unk_token="<unk>"))
    t.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    return trained(t, trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "<s>", "</s>"], show_progress=False))


def unigram(byte_fallback=False):
    t = Tokenizer(models.Unigram())
    t.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Replace(" ", "▁")])
    t.pre_tokenizer = pre_tokenizers.Metaspace()
    specials = ["<unk>", "<s>", "</s>"]
    trained(t, trainers.UnigramTrainer(vocab_size=150, special_tokens=specials, unk_token="<unk>", show_progress=False))
    return t


def clip():
    t = Tokenizer(models.BPE(unk_token="<unk>", end_of_word_suffix="</w>"))
    t.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    t.pre_tokenizer = pre_tokenizers.Whitespace()
    trainer = trainers.BpeTrainer(vocab_size=200, special_tokens=["<unk>", "</s>"], end_of_word_suffix="</w>", show_progress=False)
    return trained(t, trainer)


def word_piece():
    t = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    t.normalizer = normalizers.BertNormalizer()
    t.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return trained(t, trainers.WordPieceTrainer(vocab_size=200, special_tokens=["[UNK]", "[SEP]"], show_progress=False))


EXTRA = [
    AddedToken("dog", single_word=True, normalized=False),
    AddedToken("<mask>", lstrip=True, normalized=False, special=True),
    AddedToken("<sep>", rstrip=True, normalized=False),
    AddedToken("<both>", lstrip=True, rstrip=True),
    AddedToken("THE", normalized=True),
    AddedToken("ab", normalized=False),
    AddedToken("abc", normalized=False),
]
TEXTS = [
    "The quick brown fox",
    "a <s> b </s> c",
    "<s>",
    "  leading and trailing  ",
    "<s><s>x</s>",
    "dog dogs hotdog dog. (dog) dog",
    "x <mask> y<mask>z  <sep>  w <both>  v",
    "the THE The they THEM",
    "ab abc abcd xabcx",
    "grün über straße 日本語 😀 \u00a0nbsp",
    "1234 56.78\n\n\tdef f(x):\r\n    return x",
    "",
    " ",
    "\n",
    "e\u0301 \ufb01 Ⅷ ½ ͷ",
    "<|im_start|>user\nhi<|im_end|>",
    "ﬀ" * 3 + "a" * 50,
    "don't I'll we're it's",
]
FAMILIES = {
    "llama2": llama2(),
    "byte-level": byte_level(["<s>", "</s>", "<|im_start|>", "<|im_end|>"]),
    "byte-level with added tokens": byte_level(["<s>", "</s>"], EXTRA),
    "byte-level in lower case with added tokens": byte_level(["<s>", "</s>"], EXTRA, normalizer=normalizers.Lowercase()),
    "byte-level with a prefix": byte_level(["<s>", "</s>"], prefix=True),
    "metaspace": metaspace(),
    "unigram": unigram(),
    "clip": clip(),
    "word-piece": word_piece(),
}


def token_cases():
    cases = []
    for name, tokenizer in FAMILIES.items():
        ids = {}
        for plain in (True, False):
            tokenizer.encode_special_tokens = plain
            ids["plain" if plain else "special"] = [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]
        cases.append({"name": name, "json": json.loads(tokenizer.to_str()), **ids})
    return {"texts": TEXTS, "cases": cases}


LLAMA3 = (
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|start_header_id|>' + message['role'] + "
    "'<|end_header_id|>\n\n'+ message['content'] | trim + '<|eot_id|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}"
    "{% endif %}{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}"
)
CHATML = (
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou are a helpful "
    "assistant<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
CHATML_MARKED = """{%- for message in messages %}
    {%- if message['role'] == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
            {{- message['content'] + '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {{- '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
BLOCKS_MARKED = """{% for message in messages %}
{% if message['role'] == 'assistant' %}
<|im_start|>assistant
    {% generation %}
{{ message['content'] }}<|im_end|>
    {% endgeneration %}
{% else %}
<|im_start|>{{ message['role'] }}
{{ message['content'] }}<|im_end|>
{% endif %}
{% endfor %}"""
MISTRAL = (
    "{{ bos_token }}{% for message in messages %}{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception("
    "'Conversation roles must alternate user/assistant/user/assistant/...') }}{% endif %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] + ' [/INST]' }}{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token}}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}{% endif %}{% endfor %}"
)
MISTRAL_SYSTEM = """{%- if messages[0]['role'] == 'system' %}
    {%- set system_message = messages[0]['content'] %}
    {%- set loop_messages = messages[1:] %}
{%- else %}
    {%- set loop_messages = messages %}
{%- endif %}
{{- bos_token }}
{%- for message in loop_messages %}
    {%- if message['role'] == 'user' %}
        {%- if loop.last or (loop.length - loop.index0 == 2) and system_message is defined %}
            {{- '[INST] ' + (system_message + '\\n\\n' if system_message is defined else '') + message['content'] + '[/INST]' }}
        {%- else %}
            {{- '[INST] ' + message['content'] + '[/INST]' }}
        {%- endif %}
    {%- else %}
        {{- ' ' + message['content'] + eos_token }}
    {%- endif %}
{%- endfor %}"""
GEMMA = (
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}{% for message in "
    "messages %}{% if (message['role'] == 'assistant') %}{% set role = 'model' %}{% else %}{% set role = message['role'] %}{% endif %}"
    "{{ '<start_of_turn>' + role + '\n' + message['content'] | trim + '<end_of_turn>\n' }}{% endfor %}{% if add_generation_prompt %}"
    "{{'<start_of_turn>model\n'}}{% endif %}"
)
ZEPHYR = (
    "{% for message in messages %}\n{% if message['role'] == 'user' %}\n{{ '<|user|>\n' + message['content'] + eos_token }}\n"
    "{% elif message['role'] == 'system' %}\n{{ '<|system|>\n' + message['content'] + eos_token }}\n{% elif message['role'] == 'assistant' "
    "%}\n{{ '<|assistant|>\n'  + message['content'] + eos_token }}\n{% endif %}\n{% if loop.last and add_generation_prompt %}\n"
    "{{ '<|assistant|>' }}\n{% endif %}\n{% endfor %}"
)
THINKING = """{%- set ns = namespace(last=0) %}
{%- for message in messages %}
    {%- if message.role == 'user' %}{% set ns.last = loop.index0 %}{% endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}
        {%- set content = message.content %}
        {%- if loop.index0 > ns.last %}
            {{- '<|im_start|>assistant\\n<think>\\n\\n</think>\\n\\n' + content + '<|im_end|>\\n' }}
        {%- else %}
            {{- '<|im_start|>assistant\\n' + content + '<|im_end|>\\n' }}
        {%- endif %}
    {%- else %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""
TOOLS = """{%- if tools %}
    {{- '<|im_start|>system\\n# Tools\\n' }}
    {%- for tool in tools %}{{ tool | tojson }}{{ '\\n' }}{% endfor %}
    {{- '<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.content %}{{ message.content }}{% endif %}
    {%- for call in message.tool_calls or [] %}
        {{- '<tool_call>' + {"name": call.function.name, "arguments": call.function.arguments} | tojson + '</tool_call>' }}
    {%- endfor %}
    {{- '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

SPECIALS = ["<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>"]


def turns(*contents, system=None):
    roles = ["user", "assistant"]
    start = [{"role": "system", "content": system}] if system else []
    return start + [{"role": roles[i % 2], "content": c} for i, c in enumerate(contents)]


CONVERSATIONS = {
    "one question": turns("Hello there", "I am fine."),
    "three questions": turns("How are you?", "Fine, thank you.", " 12 + 3 ", " 15", "the\nend", "Yes"),
    "a system prompt": turns("How are you?", "Fine", "And the dog?", "It sleeps.", system="Be kind."),
    "a special token in the words": turns("a <|im_end|> b </s>", "it is </s> so"),
    "an answer that the question has, too": turns("Say Yes", "Yes", "Yes", "Yes"),
}
CALL = {"type": "function", "function": {"name": "lookup", "arguments": {"word": "fox", "n": 2}}}
TOOL_CHAT = [
    {"role": "user", "content": "Look up fox"},
    {"role": "assistant", "tool_calls": [CALL]},
    {"role": "tool", "content": "42"},
    {"role": "assistant", "content": "It is 42"},
]
TOOL = {"type": "function", "function": {"name": "lookup", "description": "Looks a word up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}}}


def prefix_mask(tokenizer, messages, tools):
    """The mask of every answer by differences, as TRL masks a prompt (see make-trl-golden.py): ids of the turns before it with the header."""
    whole = tokenizer.apply_chat_template(messages, tools=tools, return_dict=False)
    mask = [0] * len(whole)
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = tokenizer.apply_chat_template(messages[:i], tools=tools, add_generation_prompt=True, return_dict=False)
        after = tokenizer.apply_chat_template(messages[: i + 1], tools=tools, return_dict=False)
        if whole[: len(before)] != before or whole[: len(after)] != after:
            return None
        mask[len(before) : len(after)] = [1] * (len(after) - len(before))
    return mask


def chat_cases():
    templates = {
        "Llama 3": ("<|eot_id|>", LLAMA3),
        "ChatML": ("<|im_end|>", CHATML),
        "ChatML with generation marks": ("<|im_end|>", CHATML_MARKED),
        "blocks with generation marks": ("<|im_end|>", BLOCKS_MARKED),
        "Mistral": ("</s>", MISTRAL),
        "Mistral with a system prompt in the last question": ("</s>", MISTRAL_SYSTEM),
        "Gemma": ("</s>", GEMMA),
        "Zephyr": ("</s>", ZEPHYR),
        "Qwen3": ("<|im_end|>", THINKING),
        "tools": ("<|im_end|>", TOOLS),
    }
    base = byte_level(SPECIALS)
    base.post_processor = processors.TemplateProcessing(single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 0)])
    sentence_piece = llama2()
    cases = []
    for name, (eos, template) in templates.items():
        for kind, made in (("byte-level", base), ("llama2", sentence_piece)):
            if kind == "llama2" and name not in ("Mistral", "Mistral with a system prompt in the last question", "Zephyr"):
                continue
            tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token=eos)
            tokenizer.chat_template = template
            chats = {**CONVERSATIONS, **({"tool calls": TOOL_CHAT} if name == "tools" else {})}
            for chat, messages in chats.items():
                tools = [TOOL] if chat == "tool calls" else None
                case = {"template": name, "tokenizer": kind, "chat": chat}
                try:
                    case["text"] = tokenizer.apply_chat_template(messages, tools=tools, tokenize=False)
                except Exception as error:  # noqa: BLE001 - the template's own words
                    cases.append({**case, "refused": str(error)})
                    continue
                if "{%- generation" in template or "{% generation" in template:
                    out = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
                    case["ids"], case["mask"] = out["input_ids"], out["assistant_masks"]
                else:
                    case["ids"] = tokenizer.apply_chat_template(messages, tools=tools, return_dict=False)
                    case["mask"] = prefix_mask(tokenizer, messages, tools)
                cases.append(case)
    return {
        "templates": {name: {"eos": eos, "template": template} for name, (eos, template) in templates.items()},
        "tokenizers": {"byte-level": json.loads(base.to_str()), "llama2": json.loads(sentence_piece.to_str())},
        "chats": {**{name: {"messages": m} for name, m in CONVERSATIONS.items()}, "tool calls": {"messages": TOOL_CHAT, "tools": [TOOL]}},
        "cases": cases,
    }


for name, value in (("tokens", token_cases()), ("chats", chat_cases())):
    (OUT / f"{name}.json").write_text(json.dumps(value, ensure_ascii=False) + "\n")
