"""Writes the models of the race: the shapes of two real ones with random weights, and a tokenizer trained here.

    python models.py FOLDER [--pairs FILE] [MODEL ...]
    python models.py FOLDER --reward-head-on MODEL

Speed and memory depend on shapes, not on what the weights have learned, so nothing is downloaded. The tokenizer is a
byte-level BPE trained on the fixtures' text and on the pairs that will be raced; without --pairs that is a small
vocabulary, and other text gets more tokens than it would from a real tokenizer. The model's vocabulary keeps its size.
The second form writes one of them as a reward model with an untrained head; race.py calls it.
"""

import argparse
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_VERBOSITY="error")

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    LlamaConfig,
    PreTrainedTokenizerFast,
)

from data import fixture_pairs, read_pairs

SEED = 0
MOST_TOKENS = 32000
SPECIAL = ["<pad>", "<s>", "</s>", "<unk>"]
COMMON = dict(tie_word_embeddings=True, pad_token_id=0, bos_token_id=1, eos_token_id=2, rms_norm_eps=1e-5)
SHAPES = {
    # stories15M with long enough positions for scaling.py.
    "llama-15m": dict(
        vocab_size=32000,
        hidden_size=288,
        intermediate_size=768,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=8192,
    ),
    # HuggingFaceTB/SmolLM2-135M.
    "smollm2-135m": dict(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=8192,
        rope_parameters=dict(rope_type="default", rope_theta=100000.0),
        initializer_range=1 / 24,
    ),
}


def train_tokenizer(pairs):
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=MOST_TOKENS,
        special_tokens=SPECIAL,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = (pair["prompt"] + pair[side] for pair in pairs for side in ("chosen", "rejected"))
    bpe.train_from_iterator(texts, trainer)
    pad, bos, eos, unk = SPECIAL
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, pad_token=pad, bos_token=bos, eos_token=eos, unk_token=unk, padding_side="right"
    )


def write_model(name, tokenizer, folder):
    torch.manual_seed(SEED)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**COMMON, **SHAPES[name]), dtype=torch.float32)
    model.save_pretrained(folder / name)
    tokenizer.save_pretrained(folder / name)
    print(f"{folder / name}: {sum(weight.numel() for weight in model.parameters()) / 1e6:.1f} M weights")


def write_reward_model(base, folder):
    torch.manual_seed(SEED)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1, dtype=torch.float32)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(base).save_pretrained(folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("models", nargs="*", metavar="MODEL", help="of " + ", ".join(SHAPES))
    parser.add_argument("--pairs", type=Path, help="pairs that will be raced: the tokenizer learns their text too")
    parser.add_argument("--reward-head-on", type=Path, metavar="MODEL", help="a folder with a language model")
    asked = parser.parse_args()
    if asked.reward_head_on:
        return write_reward_model(asked.reward_head_on, asked.folder)
    if unknown := set(asked.models) - set(SHAPES):
        parser.error(f"no model is named {', '.join(sorted(unknown))}; there are {', '.join(SHAPES)}")
    pairs = fixture_pairs() + (read_pairs(asked.pairs) if asked.pairs else [])
    tokenizer = train_tokenizer(pairs)
    print(f"tokenizer: {len(tokenizer)} tokens, from {len(pairs)} pairs")
    for name in asked.models or SHAPES:
        write_model(name, tokenizer, asked.folder)


if __name__ == "__main__":
    main()
