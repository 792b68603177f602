"""The rows of a race, the same file for both sides, and how many tokens each has.

    python data.py --stage dpo --model FOLDER --out FOLDER [--pairs FILE | --synthetic PROMPT,COMPLETION] …

Rows are left out that the two sides could read differently: prompts that leave no room for an answer, texts whose
tokens merge across the end of the prompt, and for reward models, where TRL drops them, pairs that would be cut. So every row is used by both, in the order of the file, and step i is the same
rows on both sides. race.py and scaling.py call this; it is a process of its own to keep theirs small.
"""

import argparse
import gzip
import json
import random
import re
from pathlib import Path

from tokenizers import Tokenizer

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
TURN = "\n\nAssistant:"
SEED = 0


def read_pairs(path):
    """Pairs of strings from a .jsonl or .jsonl.gz file: prompt, chosen, rejected, or hh-rlhf's two transcripts."""
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open(encoding="utf-8")
    with opened as lines:
        pairs = [as_text(json.loads(line), f"{path}:{number}") for number, line in enumerate(lines, 1)]
    return [pair for pair in pairs if pair]


def fixture_pairs():
    """The pairs of this repository: short, plain English."""
    return read_pairs(FIXTURES / "data" / "preference" / "train.jsonl")


def as_text(row, place):
    """The row with three strings; None for a pair of transcripts that answer different prompts."""
    if not {"chosen", "rejected"} <= set(row):
        raise SystemExit(f"{place}: expected columns prompt, chosen and rejected, found {', '.join(row)}")
    chosen, rejected = row["chosen"], row["rejected"]
    if "prompt" not in row:
        ends = [text.rfind(TURN) + len(TURN) for text in (chosen, rejected)]
        prompt = chosen[: ends[0]]
        if prompt != rejected[: ends[1]] or TURN not in prompt:
            return None
        return dict(prompt=prompt, chosen=chosen[ends[0] :], rejected=rejected[ends[1] :])
    if isinstance(row["prompt"], str):
        return dict(prompt=row["prompt"], chosen=chosen, rejected=rejected)
    names = dict(user="\n\nHuman: ", assistant=f"{TURN} ", system="\n\nSystem: ")
    prompt = "".join(names[message["role"]] + message["content"] for message in row["prompt"]) + TURN
    return dict(prompt=prompt, chosen=" " + chosen[0]["content"], rejected=" " + rejected[0]["content"])


def synthetic_pairs(tokenizer, prompt, completion, rows):
    """Pairs of exactly so many tokens, EOS counted: random words that are a token each."""
    words = [" " + token[1:] for token in sorted(tokenizer.get_vocab()) if re.fullmatch("Ġ[a-z]+", token)]
    words = [word for word in words if len(tokenizer.encode(word).ids) == 1]
    rng = random.Random(SEED)
    lengths = dict(prompt=prompt, chosen=completion - 1, rejected=completion - 1)
    return [
        {name: "".join(rng.choices(words, k=tokens)) for name, tokens in lengths.items()} for _ in range(rows)
    ]


def count_tokens(tokenizer, pair, max_length):
    """Tokens of prompt, chosen and rejected as trained on; None if the two sides could differ about them."""
    prompt = tokenizer.encode(pair["prompt"]).ids
    if not 0 < len(prompt) < max_length:
        return None
    lengths = [len(prompt)]
    for side in ("chosen", "rejected"):
        whole = tokenizer.encode(pair["prompt"] + pair[side]).ids
        if whole[: len(prompt)] != prompt or not pair[side].strip():
            return None
        lengths.append(min(len(whole) + 1, max_length) - len(prompt))
    return lengths


def is_whole(tokenizer, pair, max_length):
    """Whether both answers fit behind their prompt, EOS counted."""
    return all(len(tokenizer.encode(pair["prompt"] + pair[side]).ids) < max_length for side in ("chosen", "rejected"))


def end_of_prompt(tokenizer, prompt, most):
    """The last tokens of a prompt as text, where that text has no more than those tokens again; else None."""
    text = tokenizer.decode(tokenizer.encode(prompt).ids[-most:])
    return text if 0 < len(tokenizer.encode(text).ids) <= most else None


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def source(asked, tokenizer):
    """The pairs that the command line names, more than will be used."""
    if not asked.synthetic:
        return read_pairs(asked.pairs) if asked.pairs else fixture_pairs()
    prompt, completion = map(int, asked.synthetic.split(","))
    return synthetic_pairs(tokenizer, prompt, completion, asked.rows or -(-asked.tokens // (prompt + completion)))


def select(asked, tokenizer, pairs):
    """The first rows that the race can use, as the stage reads them, and the tokens of each part of each."""
    rows, counts, tokens = [], [], 0
    for pair in pairs:
        row, lengths = as_row(asked, tokenizer, pair)
        if lengths:
            rows.append(row)
            counts.append(lengths)
            tokens += sum(lengths)
        if len(rows) == asked.rows or (asked.tokens and tokens >= asked.tokens):
            return rows, counts
    raise SystemExit(
        f"only {len(rows)} usable rows with {tokens} tokens: pass more pairs, or fewer --steps, or a larger "
        "--max-length (prompts that fill it are left out)"
    )


def as_row(asked, tokenizer, pair):
    if asked.stage in ("generate", "grpo"):
        prompt = end_of_prompt(tokenizer, pair["prompt"], asked.max_length)
        return dict(prompt=prompt), prompt and [len(tokenizer.encode(prompt).ids)]
    lengths = count_tokens(tokenizer, pair, asked.max_length)
    if asked.stage == "reward" and lengths and not is_whole(tokenizer, pair, asked.max_length):
        lengths = None
    if asked.stage in ("dpo", "reward"):
        return pair, lengths
    return dict(prompt=pair["prompt"], completion=pair["chosen"]), lengths and lengths[:2]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="folder with tokenizer.json")
    parser.add_argument("--out", type=Path, required=True, help="folder for rows.jsonl and counts.json")
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--synthetic", metavar="PROMPT,COMPLETION")
    parser.add_argument("--stage", choices=["dpo", "reward", "sft", "grpo", "generate"], required=True)
    parser.add_argument("--max-length", type=int, required=True, help="of a row; for generate and grpo: of a prompt")
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--rows", type=int, help="how many")
    size.add_argument("--tokens", type=int, help="as many as have so many tokens together")
    asked = parser.parse_args()
    tokenizer = Tokenizer.from_file(str(asked.model / "tokenizer.json"))
    rows, counts = select(asked, tokenizer, source(asked, tokenizer))
    asked.out.mkdir(parents=True, exist_ok=True)
    write_lines(asked.out / "rows.jsonl", rows)
    (asked.out / "counts.json").write_text(json.dumps(counts))


if __name__ == "__main__":
    main()
