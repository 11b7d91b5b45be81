"""Writes test/golden/gguf: files of the gguf package (PyPI), and the values that it decodes.

Run it with a Python that has gguf, numpy and sentencepiece: python scripts/golden/make-gguf-golden.py
"""

import io
import json
import pathlib

import gguf
import numpy as np
import sentencepiece
from gguf.quants import dequantize, quantize

OUT = pathlib.Path(__file__).parents[2] / "test/golden/gguf"
CODED = ["Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"]


def values_of(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0, 1, shape).astype(np.float32)


def types(rng: np.random.Generator) -> None:
    """One small tensor of each type, and what it decodes to."""
    writer = gguf.GGUFWriter(OUT / "types.gguf", "llama")
    writer.add_uint32("llama.block_count", 1)
    writer.add_array("list.of.texts", ["a", "bc", "日本"])
    writer.add_array("list.of.numbers", [1, 2, 3])
    writer.add_string("a.text", "x" * 100)
    decoded = {}
    values = values_of(rng, 2, 64)
    values[0, :32] = 0
    for name in ["F32", "F16", *CODED, "BF16"]:
        kind = gguf.GGMLQuantizationType[name]
        packed = quantize(values, kind)
        if name == "F16":
            packed = values.astype(np.float16)
        raw = packed if name in ("F32", "F16") else packed.view(np.uint8)
        writer.add_tensor(name.lower(), raw, raw_dtype=kind)
        decoded[name.lower()] = [float(v) for v in dequantize(packed, kind).astype(np.float32).ravel()]
    writer.add_tensor("cube", values_of(rng, 2, 3, 4))
    writer.add_tensor("ids", np.arange(4, dtype=np.int32))
    write(writer)
    (OUT / "types.json").write_text(json.dumps(decoded) + "\n")


def permute(weights: np.ndarray, heads: int) -> np.ndarray:
    """As in convert_hf_to_gguf.py of llama.cpp."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def model(name: str, architecture: str, kind: str) -> None:
    """A model of one layer with the fields of llama.cpp, and its weights as transformers has them."""
    rng = np.random.default_rng(7)
    hidden, heads, kv_heads, ffn, tokens = 64, 4, 2, 96, 300
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", architecture)
    writer.add_context_length(256)
    writer.add_embedding_length(hidden)
    writer.add_block_count(1)
    writer.add_feed_forward_length(ffn)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_rope_freq_base(500000.0)
    writer.add_rope_dimension_count(hidden // heads)
    vocabulary(writer, tokens)
    size = hidden // heads
    shapes = {
        "token_embd.weight": (tokens, hidden),
        "output_norm.weight": (hidden,),
        "blk.0.attn_norm.weight": (hidden,),
        "blk.0.attn_q.weight": (hidden, hidden),
        "blk.0.attn_k.weight": (kv_heads * size, hidden),
        "blk.0.attn_v.weight": (kv_heads * size, hidden),
        "blk.0.attn_output.weight": (hidden, hidden),
        "blk.0.ffn_norm.weight": (hidden,),
        "blk.0.ffn_gate.weight": (ffn, hidden),
        "blk.0.ffn_up.weight": (ffn, hidden),
        "blk.0.ffn_down.weight": (hidden, ffn),
    }
    if architecture == "llama":
        shapes["output.weight"] = (tokens, hidden)
    if architecture == "qwen2":
        shapes |= {f"blk.0.attn_{p}.bias": (shapes[f"blk.0.attn_{p}.weight"][0],) for p in "qkv"}
    if architecture == "qwen3":
        shapes |= {f"blk.0.attn_{p}_norm.weight": (size,) for p in "qk"}
    coded = gguf.GGMLQuantizationType[kind]
    firsts = {}
    for tensor, shape in shapes.items():
        hf = values_of(rng, *shape)
        own = hf
        if architecture == "llama" and "attn_q" in tensor:
            own = permute(hf, heads)
        if architecture == "llama" and "attn_k" in tensor:
            own = permute(hf, kv_heads)
        if len(shape) == 2 and kind != "F32":
            packed = quantize(own, coded)
            writer.add_tensor(tensor, packed.view(np.uint8), raw_dtype=coded)
            hf = dequantize(quantize(hf, coded), coded)
        else:
            writer.add_tensor(tensor, own)
        firsts[tensor] = [float(v) for v in hf.reshape(shape[0], -1)[:, 0]]
    write(writer)
    (OUT / f"{name}.json").write_text(json.dumps(firsts) + "\n")


def vocabulary(writer: gguf.GGUFWriter, count: int) -> None:
    """The 256 bytes as GPT-2 writes them, some merges, and special tokens."""
    keep = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = [b for b in range(256) if b not in keep]
    letters = {b: chr(b) for b in keep} | {b: chr(256 + i) for i, b in enumerate(other)}
    tokens = [letters[b] for b in range(256)]
    merges = ["h e", "l l", "he ll", "hell o", "Ġ w", "o r", "Ġw or", "Ġwor l", "Ġworl d", "Ġ t", "Ġt he"]
    tokens += [merge.replace(" ", "") for merge in merges]
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|pad|>"]
    plain = [f"unused{i}" for i in range(count - len(tokens) - len(special))]
    tokens += plain + special
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("llama-bpe")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in special else 1 for token in tokens])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(count - 3)
    writer.add_eos_token_id(count - 2)
    writer.add_pad_token_id(count - 1)
    writer.add_add_bos_token(True)
    writer.add_chat_template("{{ messages[0]['content'] }}")


def sentences() -> list[str]:
    words = "the federated model learns from hospitals and banks without moving data it sends small updates to a server".split()
    rng = np.random.default_rng(1)
    return [" ".join(rng.choice(words, 12)) for _ in range(400)]


def sentencepiece_tokenizer() -> None:
    """A SentencePiece model of BPE as Llama 2 has one, and what the library itself makes of texts."""
    out = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(sentences()),
        model_writer=out,
        model_type="bpe",
        vocab_size=380,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        minloglevel=2,
    )
    library = sentencepiece.SentencePieceProcessor(model_proto=out.getvalue())
    count = library.vocab_size()
    kinds = [2 if library.is_unknown(i) else 3 if library.is_control(i) else 6 if library.is_byte(i) else 1 for i in range(count)]
    writer = gguf.GGUFWriter(OUT / "sentencepiece.gguf", "llama")
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([library.id_to_piece(i) for i in range(count)])
    writer.add_token_scores([library.get_score(i) for i in range(count)])
    writer.add_token_types(kinds)
    writer.add_bos_token_id(library.bos_id())
    writer.add_eos_token_id(library.eos_id())
    writer.add_unk_token_id(library.unk_id())
    write(writer)
    texts = [*sentences()[:20], "hello world", "  two  spaces ", "日本 🙂", "tab\tand\nline", "modelmodel 123", "Ünïcode", "x" * 50]
    (OUT / "sentencepiece.json").write_text(json.dumps([[text, library.encode(text)] for text in texts]) + "\n")


def write(writer: gguf.GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    types(np.random.default_rng(3))
    model("llama", "llama", "Q8_0")
    model("qwen2", "qwen2", "Q4_0")
    model("qwen3", "qwen3", "BF16")
    sentencepiece_tokenizer()
