"""A GGUF file of random blocks in the mixture of Q4_K_M, of the shape of a real model: for time and memory.

    python benches/random_gguf.py smollm2-135m|tinyllama-1.1b|llama-3.1-8b FILE

Its tokenizer has a token for each byte, so that a text of 128 letters is 128 tokens. Needs numpy and gguf.
"""

import sys

import numpy as np
from gguf import GGMLQuantizationType as Q
from gguf import GGUFWriter
from gguf.constants import GGML_QUANT_SIZES

# hidden, inner, layers, heads, kv heads, vocabulary, tied, θ
SHAPES = {
    "smollm2-135m": (576, 1536, 30, 9, 3, 49152, True, 100000.0),
    "tinyllama-1.1b": (2048, 5632, 22, 32, 4, 32000, False, 10000.0),
    "llama-3.1-8b": (4096, 14336, 32, 32, 8, 128256, False, 500000.0),
}
# Where a block's 16-bit scales are, and how large they may be, for weights of about 0.02.
SCALES = {Q.Q4_K: ([0, 2], 5e-5), Q.Q6_K: ([208], 2e-5), Q.Q5_0: ([0], 2e-3), Q.Q8_0: ([0], 3e-4)}
FALLBACK = {Q.Q4_K: Q.Q5_0, Q.Q6_K: Q.Q8_0}


def blocks(rng, kind, rows, columns):
    if columns % GGML_QUANT_SIZES[kind][0]:
        kind = FALLBACK[kind]
    per_block, size = GGML_QUANT_SIZES[kind]
    data = rng.integers(0, 256, (rows, columns // per_block, size), dtype=np.uint8)
    places, scale = SCALES[kind]
    for at in places:
        values = rng.uniform(0.5 * scale, scale, data.shape[:2]).astype(np.float16)
        data[..., at : at + 2] = values[..., None].view(np.uint8)
    return data.reshape(rows, -1), kind


def main(name, path):
    hidden, inner, layers, heads, kv_heads, vocab, tied, theta = SHAPES[name]
    rng = np.random.default_rng(0)
    writer = GGUFWriter(path, "llama", use_temp_file=True)
    for add, value in [
        (writer.add_block_count, layers), (writer.add_context_length, 2048), (writer.add_embedding_length, hidden),
        (writer.add_feed_forward_length, inner), (writer.add_head_count, heads), (writer.add_head_count_kv, kv_heads),
        (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_dimension_count, hidden // heads),
        (writer.add_rope_freq_base, theta), (writer.add_vocab_size, vocab), (writer.add_file_type, 15),
    ]:  # fmt: skip
        add(value)
    seen = [b for b in range(256) if 33 <= b <= 126 or 161 <= b <= 172 or 174 <= b]
    letters = [chr(b) for b in seen] + [chr(256 + n) for n in range(256 - len(seen))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    # One merge, because gguf leaves out lists without elements.
    writer.add_token_list(letters + ["~~"] + [f"<{n}>" for n in range(257, vocab)])
    writer.add_token_types([1] * 257 + [3] * (vocab - 257))
    writer.add_token_merges(["~ ~"])
    writer.add_bos_token_id(257)
    writer.add_eos_token_id(258)

    def weight(tensor, kind, rows, columns):
        data, kind = blocks(rng, kind, rows, columns)
        writer.add_tensor(f"{tensor}.weight", data, raw_dtype=kind)

    weight("token_embd", Q.Q6_K if tied else Q.Q4_K, vocab, hidden)
    if not tied:
        weight("output", Q.Q6_K, vocab, hidden)
    writer.add_tensor("output_norm.weight", np.ones(hidden, np.float32))
    for layer in range(layers):
        eighth = layers // 8
        wide = layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2
        for norm in ["attn_norm", "ffn_norm"]:
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(hidden, np.float32))
        kv = hidden // heads * kv_heads
        more = Q.Q6_K if wide else Q.Q4_K
        for tensor, kind, rows, columns in [
            ("attn_q", Q.Q4_K, hidden, hidden), ("attn_k", Q.Q4_K, kv, hidden), ("attn_v", more, kv, hidden),
            ("attn_output", Q.Q4_K, hidden, hidden), ("ffn_gate", Q.Q4_K, inner, hidden), ("ffn_up", Q.Q4_K, inner, hidden),
            ("ffn_down", more, hidden, inner),
        ]:  # fmt: skip
            weight(f"blk.{layer}.{tensor}", kind, rows, columns)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


main(*sys.argv[1:])
